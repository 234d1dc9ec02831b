//! Whom `https` trusts: the certification authorities that the machine trusts.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use tokio::sync::OnceCell;

/// Read once, since a machine has a hundred and more of them.
static CONFIG: OnceCell<Arc<ClientConfig>> = OnceCell::const_new();

/// What every client connects with. `SSL_CERT_FILE` and `SSL_CERT_DIR` name other authorities.
pub(super) async fn config() -> ClientConfig {
    let read = || async {
        let config = tokio::task::spawn_blocking(|| client_config(roots())).await;
        Arc::new(config.unwrap_or_else(|_| client_config(RootCertStore::empty())))
    };
    ClientConfig::clone(CONFIG.get_or_init(read).await)
}

fn roots() -> RootCertStore {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (usable, _) = roots.add_parsable_certificates(found.certs);
    if usable == 0 {
        let errors: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
        tracing::warn!(
            "no certification authorities on this machine, so no https server can be trusted: install ca-certificates \
             or set SSL_CERT_FILE {}",
            errors.join("; ")
        );
    }
    roots
}

fn client_config(roots: RootCertStore) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has the cipher suites of TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth()
}
