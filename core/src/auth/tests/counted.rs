//! What dashboards see of sign-in.

use super::*;
use crate::metrics::Prometheus;

#[test]
fn sign_ins_are_counted_under_the_names_of_the_app_and_nobody_is_named() {
    let prometheus = Prometheus::default();
    // One thread, because the recorder is that of this thread.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    metrics::with_local_recorder(&prometheus, || {
        runtime.block_on(async {
            let fixture = Fixture::new();
            let pair = fixture.ana().await;
            for name in ["ana", "nobody"] {
                let wrong = SignIn::new(name, "una llama silba en do menor");
                fixture.auth.login(&wrong).await.unwrap_err();
            }
            fixture.auth.refresh(&pair.refresh).await.unwrap();
            // A store that is down is nobody's failed sign-in.
            fixture.postgres.set(true);
            fixture
                .auth
                .login(&SignIn::new("ana", PASSWORD))
                .await
                .unwrap_err();
        });
    });
    let page = prometheus.render();
    for line in [
        "failed_login_attempts_total 2",
        "auth_operations_total{operation=\"authenticate\",status=\"success\"} 1",
        "auth_operations_total{operation=\"authenticate\",status=\"auth.bad_credentials\"} 2",
        "auth_operations_total{operation=\"refresh_token\",status=\"success\"} 1",
    ] {
        assert!(page.lines().any(|counted| counted == line), "{line}\n{page}");
    }
    assert!(!page.contains("ana") && !page.contains("nobody"), "{page}");
}
