//! The client of QloApps: what it adds to the wire, and what reading its longest answer takes.

use std::hint::black_box;

use posada::clock::SystemClock;
use posada::testkit::qloapps::{QloAppsSimulator, read_prices};
use posada::{Posada, Settings};

use crate::contest::{self, operation};

/// Everything that a real QloApps server was recorded to answer.
const RECORDED: &str = include_str!("../../vectors/qloapps/answers.jsonl");
/// Thirty-one nights of four room types.
const MONTH: &str = "307-ari-date-wise-31-nights";

pub(crate) async fn rows() {
    overhead().await;
    month().await;
}

/// The same question to the same server, by the client and by hand.
async fn overhead() {
    let server = QloAppsSimulator::start(SystemClock::shared()).await;
    let settings = Settings::builder()
        .pms_qloapps(server.url(), QloAppsSimulator::KEY)
        .pms_max_rate(100_000)
        .pms_max_concurrent(1000);
    let posada = Posada::builder()
        .settings(settings.build().unwrap())
        .build()
        .unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!(
        "{}/api/customers?output_format=JSON&display=full&filter%5Bemail%5D=%5Bnobody%40example.com%5D",
        server.url()
    );
    for tasks in [1, 32] {
        let (posada, client, url) = (posada.clone(), client.clone(), url.clone());
        contest::awaited(
            "pms: a read, against a bare reqwest call",
            "ratio <= 1.2 at 32",
            tasks,
            operation(move |_| {
                let posada = posada.clone();
                async move {
                    black_box(posada.pms().guest("nobody@example.com").await.unwrap());
                }
            }),
            operation(move |_| {
                let (client, url) = (client.clone(), url.clone());
                async move {
                    let request = client.get(url).basic_auth(QloAppsSimulator::KEY, Some(""));
                    let body = request.send().await.unwrap().bytes().await.unwrap();
                    black_box(serde_json::from_slice::<serde_json::Value>(&body).unwrap());
                }
            }),
        )
        .await;
    }
    posada.close().await.unwrap();
}

async fn month() {
    let recorded = RECORDED
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .find(|recorded| recorded["name"] == MONTH)
        .unwrap();
    let body = recorded["body"].as_str().unwrap().as_bytes().to_vec();
    assert_eq!(read_prices(body.clone()), 4 * 31);
    let same = body.clone();
    contest::awaited(
        "pms: 31 nights of 4 types read, against serde_json alone",
        "<= 2000 us",
        1,
        operation(move |_| {
            let body = body.clone();
            async move {
                black_box(read_prices(body));
            }
        }),
        operation(move |_| {
            let body = same.clone();
            async move {
                black_box(serde_json::from_slice::<serde_json::Value>(&body).unwrap());
            }
        }),
    )
    .await;
}
