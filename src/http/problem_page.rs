//! A problem as a page, for a browser that shows the response itself.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};

use super::app_state::AppState;
use super::base_path::BasePath;
use super::problem::Problem;

/// The prefix of the API's paths.
pub(super) const PREFIX: &str = "/api/v1/log-streaming";

/// Shows problems of everything but the API as pages, to who asks for pages.
pub(super) async fn problems_as_pages(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Response {
    let wants_page = !request.uri().path().starts_with(PREFIX) && accepts_html(request.headers());
    let response = next.run(request).await;
    match response.extensions().get::<Problem>() {
        Some(problem) if wants_page => {
            let page = page(problem, &state.options().base_path);
            with_page(response, page)
        }
        _ => response,
    }
}

/// Whether the client names HTML, as browsers do for what they show; `*/*` is anything.
fn accepts_html(headers: &HeaderMap) -> bool {
    let accepted = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accepted
        .split(',')
        .any(|range| range.split(';').next().unwrap_or_default().trim() == "text/html")
}

/// The same response with a page for its body.
fn with_page(response: Response, page: String) -> Response {
    let (mut head, _) = response.into_parts();
    let (page_head, body) = Html(page).into_response().into_parts();
    head.headers.remove(CONTENT_LENGTH);
    if let Some(media_type) = page_head.headers.get(CONTENT_TYPE) {
        head.headers.insert(CONTENT_TYPE, media_type.clone());
    }
    head.headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'self'"));
    Response::from_parts(head, body)
}

fn page(problem: &Problem, base: &BasePath) -> String {
    let (title, detail) = (problem.page_title(), sentence(&problem.detail));
    let (styles, home) = (base.join("/assets/app.css"), base.join("/"));
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n  <meta charset=\"utf-8\">\n  \
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n  \
         <meta name=\"color-scheme\" content=\"light dark\">\n  \
         <title>{title} · otto-handler</title>\n  <link rel=\"stylesheet\" href=\"{styles}\">\n</head>\n\
         <body>\n  <main id=\"view\"><section class=\"panel\"><h1>{title}</h1>\n  <p>{detail}</p>\n  \
         <p><a href=\"{home}\">All tasks</a></p></section></main>\n</body>\n</html>\n"
    )
}

/// `text` with a capital letter and a full stop, safe within HTML.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string());
    let text = format!("{}{}.", first.unwrap_or_default(), letters.as_str());
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_shows_what_was_asked_for_and_obeys_none_of_it() {
        let problem = Problem::no_such_route("/<script>alert(\"1\")</script>&amp;");
        let page = page(&problem, &"/logs".parse().unwrap());
        assert!(!page.contains("<script"), "{page}");
        assert!(
            page.contains("&lt;script&gt;alert(\\&quot;1\\&quot;)&lt;/script&gt;&amp;amp;"),
            "{page}"
        );
        assert!(page.contains("href=\"/logs/assets/app.css\"") && page.contains("href=\"/logs/\""));
    }

    #[test]
    fn only_who_names_html_gets_a_page() {
        let accepts = |text: &'static str| {
            accepts_html(&HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(text))]))
        };
        assert!(accepts("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"));
        assert!(accepts("application/json, text/html;q=0.5"));
        for other in ["*/*", "application/json", "text/event-stream", "text/plain"] {
            assert!(!accepts(other), "{other}");
        }
    }
}
