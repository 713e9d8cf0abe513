//! Where every HTTP client here comes from: its TLS is rustls with ring and the system's certificates.
//!
//! reqwest's own choice would be a provider that is not built here, so a client that is made elsewhere
//! panics; `clippy.toml` bans that.

use std::sync::{Arc, OnceLock};

use rustls::{ClientConfig, RootCertStore, crypto};

/// A builder of HTTP clients that trust the system's certificates; `SSL_CERT_FILE` and `SSL_CERT_DIR`
/// name others.
#[expect(clippy::disallowed_methods, reason = "it is given what it would panic without")]
pub fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder().tls_backend_preconfigured(config().clone())
}

/// A client with nothing else set.
pub fn client() -> reqwest::Client {
    builder().build().expect("nothing is set that could be wrong")
}

/// Made once: reading all the system's certificates takes some milliseconds.
fn config() -> &'static ClientConfig {
    static CONFIG: OnceLock<ClientConfig> = OnceLock::new();
    CONFIG.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        // Without any, plain HTTP still works; a server with TLS is then refused as unknown.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let mut config =
            ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .expect("ring has what TLS 1.2 and 1.3 need")
                .with_root_certificates(roots)
                .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config
    })
}
