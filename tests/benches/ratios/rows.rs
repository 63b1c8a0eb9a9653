//! The rows: what is compared with what.

use std::hint::black_box;
use std::process::Command;
use std::time::Duration;

use posada::flags::{Context, FlagValue};
use posada::limits::RateLimit;
use posada::locks::{AcquireOptions, Resource, StayHold};
use posada::tenants::{Channel, NewTenant};
use posada::{Posada, Settings, Stay, TenantId};
use posada_tests::{servers, unique};
use redis::aio::MultiplexedConnection;

use crate::contest::{self, operation};

/// How many tasks run the awaited rows.
const TASKS: [usize; 2] = [1, 32];

pub(crate) async fn all(only: &str) {
    let wanted = |name: &str| name.contains(only);
    if wanted("memory") {
        resolve().await;
        scope().await;
        flags().await;
        footprint();
    }
    if wanted("auth") {
        crate::auth::rows().await;
    }
    if wanted("pms") {
        crate::pms::rows().await;
    }
    let url = servers::redis().url();
    let posada = Posada::builder()
        .settings(Settings::builder().redis_url(url).build().unwrap())
        .build()
        .unwrap();
    let plain = plain_redis(url).await;
    if wanted("sessions") {
        sessions(&posada, &plain).await;
    }
    if wanted("locks") {
        locks(&posada, &plain).await;
        crate::contended::rows().await;
    }
    if wanted("holds") {
        holds(&posada, &plain).await;
    }
    if wanted("limits") {
        limits(&posada, &plain).await;
    }
    posada.close().await.unwrap();
}

async fn plain_redis(url: &str) -> MultiplexedConnection {
    let config = redis::AsyncConnectionConfig::new().set_response_timeout(None);
    redis::Client::open(url)
        .unwrap()
        .get_multiplexed_async_connection_with_config(&config)
        .await
        .unwrap()
}

fn get(plain: &MultiplexedConnection, key: &str, times: usize) -> contest::Operation {
    let (plain, key) = (plain.clone(), key.to_owned());
    operation(move |_| {
        let (mut plain, key) = (plain.clone(), key.clone());
        async move {
            for _ in 0..times {
                let value: Option<Vec<u8>> =
                    redis::cmd("GET").arg(&key).query_async(&mut plain).await.unwrap();
                black_box(value);
            }
        }
    })
}

/// Two calls of a script that does nothing.
async fn empty_scripts(plain: &MultiplexedConnection) -> contest::Operation {
    let mut load = redis::cmd("SCRIPT");
    load.arg("LOAD").arg("return 1");
    let hash: String = load.query_async(&mut plain.clone()).await.unwrap();
    let plain = plain.clone();
    operation(move |_| {
        let (mut plain, hash) = (plain.clone(), hash.clone());
        async move {
            for _ in 0..2 {
                let mut call = redis::cmd("EVALSHA");
                let answer: i64 = call.arg(&hash).arg(0).query_async(&mut plain).await.unwrap();
                black_box(answer);
            }
        }
    })
}

async fn resolve() {
    for count in [1_000u64, 20_000] {
        let posada = Posada::embedded();
        let tenant = posada
            .tenants()
            .create(NewTenant::new("hotel-test", "Hotel Test").unwrap())
            .await
            .unwrap();
        let peer = moka::sync::Cache::<String, std::sync::Arc<str>>::new(count * 2);
        let phones: Vec<String> = (0..count)
            .map(|number| format!("+54911{:08}", 20_000_000 + number))
            .collect();
        for phone in &phones {
            posada
                .tenants()
                .add_identifier(&tenant.id, phone, Channel::WhatsApp)
                .await
                .unwrap();
        }
        for phone in &phones {
            peer.insert(phone.clone(), "hotel-test".into());
            posada.tenants().resolve(phone, Channel::WhatsApp).await.unwrap();
        }
        let phone = "+5491120000042";
        let tenants = posada.tenants();
        contest::plain(
            &format!("cached resolve, {count} identifiers, against moka"),
            "<= 60 ns, ratio <= 0.33",
            |times| {
                for _ in 0..times {
                    black_box(tenants.cached(black_box(phone), Some(Channel::WhatsApp)));
                }
            },
            |times| {
                for _ in 0..times {
                    black_box(peer.get(black_box(phone)));
                }
            },
        );
    }
}

/// What a request pays for a handle of its hotel: the look-up of the hotel is the least that every request does.
async fn scope() {
    let posada = Posada::embedded();
    let new = NewTenant::new("hotel-test", "Hotel Test").unwrap();
    let tenant = posada.tenants().create(new).await.unwrap();
    let (tenants, phone) = (posada.tenants(), "+5491120000042");
    tenants.add_identifier(&tenant.id, phone, None).await.unwrap();
    tenants.resolve(phone, None).await.unwrap();
    let found = || tenants.cached(black_box(phone), None);
    contest::plain(
        "cached resolve and for_tenant, against the cached resolve",
        "<= 1 us",
        |times| {
            for _ in 0..times {
                let resolution = found().unwrap();
                black_box(posada.for_tenant(&resolution.tenant().unwrap().id).unwrap());
            }
        },
        |times| {
            for _ in 0..times {
                black_box(found());
            }
        },
    );
}

async fn flags() {
    let posada = Posada::embedded();
    let tenant = TenantId::parse("hotel-test").unwrap();
    posada
        .flags()
        .set(None, "on", FlagValue::from(true))
        .await
        .unwrap();
    let rollout = FlagValue::parse(
        r#"{"name":"rollout","enabled":true,"strategies":[{"name":"flexibleRollout","parameters":{"rollout":"50","stickiness":"userId","groupId":"rollout"},"constraints":[{"contextName":"channel","operator":"IN","values":["whatsapp"]}]}]}"#,
    )
    .unwrap();
    posada.flags().set(None, "rollout", rollout).await.unwrap();
    let flags = posada.flags();
    let table = std::collections::HashMap::from([("on".to_owned(), true)]);
    let lookup = |times| {
        for _ in 0..times {
            black_box(table.get(black_box("on")).copied());
        }
    };
    let plain = Context::new().tenant(&tenant);
    let yes_or_no = |times| {
        for _ in 0..times {
            black_box(flags.is_enabled(black_box("on"), &plain));
        }
    };
    contest::plain(
        "flag, boolean, against a HashMap look-up",
        "<= 30 ns",
        yes_or_no,
        lookup,
    );
    let guest = Context::new()
        .tenant(&tenant)
        .user("5491187654321")
        .property("channel", "whatsapp");
    let rolled = |times| {
        for _ in 0..times {
            black_box(flags.is_enabled(black_box("rollout"), &guest));
        }
    };
    contest::plain(
        "flag, one constraint and a rollout, against the same",
        "<= 100 ns wanted",
        rolled,
        lookup,
    );
}

/// The most memory that the quickstart ever had, as the operating system tells its parent.
fn footprint() {
    let program = std::env::current_exe()
        .unwrap()
        .ancestors()
        .nth(2)
        .unwrap()
        .join("quickstart");
    let ask = "import resource, subprocess, sys\n\
               subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)\n\
               print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)";
    match Command::new("python3").args(["-c", ask]).arg(&program).output() {
        Ok(output) if output.status.success() => {
            let kilobytes: f64 = String::from_utf8_lossy(&output.stdout)
                .trim()
                .parse()
                .unwrap_or(f64::NAN);
            let name = "resident memory of the quickstart, at most";
            println!(
                "{name:<58} {:>7.1} MB {:>10} {:>8}   <= 30 MB",
                kilobytes / 1024.0,
                "",
                ""
            );
        }
        _ => println!(
            "the quickstart's memory was not measured: {} or python3 is missing",
            program.display()
        ),
    }
}

async fn sessions(posada: &Posada, plain: &MultiplexedConnection) {
    let tenant = TenantId::parse(&unique("bench")).unwrap();
    for crowd in [0u32, 20_000] {
        for number in 0..crowd {
            posada
                .sessions()
                .get_or_create(&tenant, &format!("crowd{number}"), "whatsapp")
                .await
                .unwrap();
        }
        for tasks in TASKS {
            for task in 0..tasks {
                posada
                    .sessions()
                    .get_or_create(&tenant, &format!("guest{task}"), "whatsapp")
                    .await
                    .unwrap();
            }
            let key = format!("session:{tenant}:guest0");
            let (load, who) = (posada.clone(), tenant.clone());
            contest::awaited(
                &format!("session load, {crowd} others, against GET"),
                "ratio <= 1.3",
                tasks,
                operation(move |task| {
                    let (posada, tenant) = (load.clone(), who.clone());
                    async move {
                        black_box(
                            posada
                                .sessions()
                                .get(&tenant, &format!("guest{task}"))
                                .await
                                .unwrap(),
                        );
                    }
                }),
                get(plain, &key, 1),
            )
            .await;
            let sessions: Vec<_> = {
                let mut all = Vec::new();
                for task in 0..tasks {
                    let user = format!("guest{task}");
                    let session = posada.sessions().get(&tenant, &user).await.unwrap().unwrap();
                    all.push(std::sync::Arc::new(tokio::sync::Mutex::new(session)));
                }
                all
            };
            let save = posada.clone();
            contest::awaited(
                &format!("session save, {crowd} others, against GET"),
                "ratio <= 1.3",
                tasks,
                operation(move |task| {
                    let (posada, session) = (save.clone(), sessions[task].clone());
                    async move { posada.sessions().save(&mut *session.lock().await).await.unwrap() }
                }),
                get(plain, &key, 1),
            )
            .await;
        }
    }
    posada.sessions().purge_tenant(&tenant).await.unwrap();
}

async fn locks(posada: &Posada, plain: &MultiplexedConnection) {
    let run = unique("lock");
    for tasks in TASKS {
        contest::awaited(
            "for comparison: two empty scripts, against two GETs",
            "the least that two scripts cost",
            tasks,
            empty_scripts(plain).await,
            get(plain, "nothing", 2),
        )
        .await;
        let (posada, run) = (posada.clone(), run.clone());
        contest::awaited(
            "lock acquire and release, against two GETs",
            "ratio <= 1.2 at 32",
            tasks,
            operation(move |task| {
                let (posada, name) = (posada.clone(), format!("{run}:{task}"));
                async move {
                    let lock = posada
                        .locks()
                        .acquire(&name, &AcquireOptions::new())
                        .await
                        .unwrap();
                    lock.release().await.unwrap();
                }
            }),
            get(plain, "nothing", 2),
        )
        .await;
    }
}

async fn holds(posada: &Posada, plain: &MultiplexedConnection) {
    let stay = Stay::parse("2027-03-10", "2027-03-12").unwrap();
    for crowd in [0u32, 100, 9_900] {
        let resource = Resource::parse(&format!(
            "room_type:1/{}",
            u64::from(std::process::id()) * 100_000 + u64::from(crowd)
        ))
        .unwrap();
        for number in 0..crowd {
            let others = StayHold::new(resource.clone(), stay)
                .capacity(20_000)
                .ttl(Duration::from_mins(10));
            posada
                .locks()
                .hold_stay(&others.session_id(format!("crowd{number}")))
                .await
                .unwrap();
        }
        for tasks in TASKS {
            let (posada, resource) = (posada.clone(), resource.clone());
            contest::awaited(
                &format!("hold of 2 nights and its release, {crowd} live, against two GETs"),
                if crowd > 1000 {
                    "ratio <= 3"
                } else {
                    "ratio <= 1.5"
                },
                tasks,
                operation(move |task| {
                    let request = StayHold::new(resource.clone(), stay).capacity(20_000);
                    let (posada, request) = (posada.clone(), request.session_id(format!("guest{task}")));
                    async move {
                        let hold = posada.locks().hold_stay(&request).await.unwrap();
                        hold.release().await.unwrap();
                    }
                }),
                get(plain, "nothing", 2),
            )
            .await;
        }
    }
}

async fn limits(posada: &Posada, plain: &MultiplexedConnection) {
    let run = unique("rate");
    for tasks in TASKS {
        let (posada, run) = (posada.clone(), run.clone());
        let limit = RateLimit::parse("1000000000/hour").unwrap();
        contest::awaited(
            "rate limit check, against GET",
            "one round trip",
            tasks,
            operation(move |task| {
                let (posada, who) = (posada.clone(), format!("{run}:{task}"));
                async move {
                    black_box(posada.limits().check(&limit, &[&who]).await.unwrap());
                }
            }),
            get(plain, "nothing", 1),
        )
        .await;
    }
}
