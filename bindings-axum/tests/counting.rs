//! Requests that panic or are left, on the page for Prometheus: in a program of its own, because it has the recorder.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test, which fails loudly")]

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use axum::routing::get;
use futures_util::FutureExt as _;
use posada_axum::{MetricsLayer, Networks, metrics_routes};
use tower::ServiceExt as _;

async fn bug() -> &'static str {
    panic!("a defect of the program")
}

fn request(method: &str, path: &str) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(path)
        .body(Body::empty())
        .unwrap()
}

#[tokio::test]
async fn a_panic_counts_as_500_and_a_caller_that_leaves_is_not_counted() {
    let app: Router = Router::new()
        .route("/bugs/{name}", get(bug))
        .route("/never", get(std::future::pending::<&'static str>))
        .route("/plain", get(async || "here"))
        .nest(
            "/hotels/{hotel}",
            Router::new().route("/rooms/{room}", get(async || "a room")),
        )
        .merge(metrics_routes(Networks::everybody()))
        .layer(MetricsLayer::new());
    for number in 0..3 {
        let answer = app.clone().oneshot(request("GET", &format!("/bugs/{number}")));
        assert!(std::panic::AssertUnwindSafe(answer).catch_unwind().await.is_err());
        assert!(
            app.clone()
                .oneshot(request("GET", "/never"))
                .now_or_never()
                .is_none()
        );
        for method in ["DELETE", &format!("BREW{number}")] {
            let answer = app.clone().oneshot(request(method, "/plain")).await.unwrap();
            assert_eq!(answer.status().as_u16(), 405);
        }
        let room = app
            .clone()
            .oneshot(request("GET", &format!("/hotels/{number}/rooms/7")))
            .await
            .unwrap();
        assert_eq!(room.status().as_u16(), 200);
    }
    let page = app.oneshot(request("GET", "/metrics")).await.unwrap();
    let page = to_bytes(page.into_body(), 1 << 20).await.unwrap();
    let page = String::from_utf8(page.to_vec()).unwrap();
    let counted: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("http_requests_total"))
        .collect();
    assert_eq!(
        counted,
        [
            r#"http_requests_total{method="DELETE",endpoint="/plain",status_code="405"} 3"#,
            r#"http_requests_total{method="GET",endpoint="/bugs/{name}",status_code="500"} 3"#,
            r#"http_requests_total{method="GET",endpoint="/hotels/{hotel}/rooms/{room}",status_code="200"} 3"#,
            r#"http_requests_total{method="OTHER",endpoint="/plain",status_code="405"} 3"#,
        ],
        "{page}"
    );
}
