//! Which path leads where.

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{from_fn, from_fn_with_state, map_response, map_response_with_state};
use axum::response::Response;
use axum::routing::{get, post};
use http::header::{AUTHORIZATION, CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderName, HeaderValue, Method, Uri};
use tower_http::cors::CorsLayer;

use super::app_state::AppState;
use super::auth::sign_in;
use super::observe::access_log::log_access;
use super::observe::request_id::{X_REQUEST_ID, with_request_id};
use super::observe::scrape;
use super::options::MetricsPlace;
use super::problem::Problem;
use super::problem_page::{PREFIX, problems_as_pages};
use super::{assets, health, logs, openapi, sse, stream, tasks, websocket};

pub(super) fn router(state: AppState) -> Router {
    let cors = cors(state.frontend().clone());
    let base = state.options().base_path.clone();
    let logs_access = state.options().access_log;
    let router = Router::new()
        .nest(PREFIX, api())
        .merge(pages())
        .merge(metrics(state.options().metrics))
        .fallback(no_such_route)
        .with_state(state.clone())
        .layer(from_fn_with_state(state.clone(), problems_as_pages))
        .layer(cors);
    let router = base
        .serve(router)
        .layer(map_response_with_state(state, count_problems))
        .layer(map_response(protect));
    let router = if logs_access { router.layer(from_fn(log_access)) } else { router };
    router.layer(from_fn(with_request_id))
}

fn api() -> Router<AppState> {
    Router::new()
        .merge(streams())
        .route("/tasks", get(tasks::list))
        .route("/tasks/{task_id}", get(tasks::one).delete(tasks::delete))
        .route("/tasks/{task_id}/end", post(tasks::end))
        .route("/tasks/{task_id}/workers", get(tasks::workers))
        .route("/tasks/{task_id}/logs", get(logs::history))
        .route("/ws", get(websocket::open))
        .route("/health", get(health::health))
        .route("/session", get(sign_in::show).post(sign_in::enter).delete(sign_in::leave))
        .method_not_allowed_fallback(no_such_method)
}

fn streams() -> Router<AppState> {
    Router::new()
        .route("/stream", get(stream::all_tasks))
        .route("/stream/{task_id}", get(stream::one_task))
        .route("/logs/{task_id}/stream", get(stream::one_task))
        .route_layer(from_fn(sse::refusals_as_events))
}

fn pages() -> Router<AppState> {
    Router::new()
        .route("/health", get(health::health))
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/login", get(sign_in::login))
        .route("/", get(assets::index))
        .route("/tasks/{task_id}", get(assets::index))
        .route("/docs", get(assets::index))
        .route("/openapi.json", get(openapi::document))
        .route("/assets/{*path}", get(assets::file))
        .method_not_allowed_fallback(no_such_method)
}

/// The metrics, where they have no port of their own.
fn metrics(place: MetricsPlace) -> Router<AppState> {
    match place {
        MetricsPlace::HttpPort => Router::new()
            .route("/metrics", get(scrape::for_token))
            .method_not_allowed_fallback(no_such_method),
        MetricsPlace::OwnPort => Router::new(),
    }
}

/// What is served on the metrics' own port.
pub(super) fn metrics_router(state: AppState) -> Router {
    Router::new()
        .route("/metrics", get(scrape::for_everyone))
        .method_not_allowed_fallback(no_such_method)
        .fallback(no_such_route)
        .with_state(state)
        .layer(map_response(protect))
        .layer(from_fn(with_request_id))
}

async fn no_such_route(uri: Uri) -> Problem {
    Problem::no_such_route(uri.path())
}

async fn no_such_method(request: Request) -> Problem {
    Problem::no_such_method(request.method().as_str(), request.uri().path())
}

/// Counts the problem that `response` tells, if it does.
async fn count_problems(State(state): State<AppState>, response: Response) -> Response {
    if let Some(problem) = response.extensions().get::<Problem>() {
        state.problems().add(problem.code);
    }
    response
}

/// A browser must never take what producers wrote for a page, and no cache may keep it.
async fn protect(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

fn cors(frontend: HeaderValue) -> CorsLayer {
    let last_event_id = HeaderName::from_static("last-event-id");
    CorsLayer::new()
        .allow_origin([frontend])
        .allow_credentials(true)
        .allow_methods([Method::GET, Method::POST, Method::DELETE])
        .allow_headers([AUTHORIZATION, CACHE_CONTROL, last_event_id])
        .expose_headers([X_REQUEST_ID])
}
