//! What the settings of Redis alone give away. Needs no server.

use super::codes;
use super::model::{Finding, Severity};
use super::settings::{graver_in_production, guessable, is_nearby};
use crate::settings::{Environment, RedisSettings, is_this_machine};

/// Looks at its password, and at the way to it.
pub(super) fn examine(redis: &RedisSettings, environment: Environment) -> [Finding; 2] {
    let nodes = redis.topology.nodes();
    let far = nodes.iter().find(|node| !is_this_machine(&node.host));
    let strength = match &redis.password {
        Some(password) => guessable(
            codes::REDIS_PASSWORD_STRENGTH,
            "The password of Redis",
            password,
            far.is_none(),
            environment,
        ),
        None if far.is_none() => Finding::ok(
            codes::REDIS_PASSWORD_STRENGTH,
            "Redis is on this machine and has no password.",
        ),
        None => Finding::warning(
            codes::REDIS_PASSWORD_STRENGTH,
            "Redis is on another machine and has no password: every client that reaches it reads every conversation.",
            "Set a password on the server and in REDIS_URL or REDIS_PASSWORD, or make sure that only the app's \
             network reaches the server.",
        ),
    };
    let plain = match far {
        Some(node) if !redis.tls => {
            let what = if redis.password.is_some() {
                "the password and what guests wrote travel"
            } else {
                "what guests wrote travels"
            };
            let nearby = nodes.iter().all(|node| is_nearby(&node.host));
            Finding::warning(
                codes::REDIS_PLAIN_TEXT,
                format!("REDIS_URL begins with redis://, so {what} to {} in plain text.", node.host),
                "Use rediss:// (with ssl_ca_certs if the certificate is signed by a root of your own), unless Redis is on \
                 a network of its own with this machine.",
            )
            .rated(if nearby { Severity::Warning } else { graver_in_production(environment) })
        }
        Some(_) => Finding::ok(codes::REDIS_PLAIN_TEXT, "What travels to Redis is encrypted."),
        None => Finding::ok(codes::REDIS_PLAIN_TEXT, "Redis is on this machine."),
    };
    [strength, plain]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_travels_in_plain_text_is_rated_by_the_way_it_goes() {
        use Severity::{Error, Ok, Warning};
        let (development, production) = (Environment::Development, Environment::Production);
        for (url, here, in_production) in [
            ("redis://:Zq9Xk7Lm@localhost", Ok, Ok),
            ("redis://:Zq9Xk7Lm@[::1]", Ok, Ok),
            ("unix:///run/redis/redis.sock", Ok, Ok),
            ("rediss://:Zq9Xk7Lm@redis.example.com", Ok, Ok),
            (
                "rediss+cluster://:Zq9Xk7Lm@one.example.com,two.example.com",
                Ok,
                Ok,
            ),
            // Names without a dot and private addresses are of a network of one's own.
            ("redis://:Zq9Xk7Lm@cache", Warning, Warning),
            (
                "redis://:Zq9Xk7Lm@redis.hotel.svc.cluster.local",
                Warning,
                Warning,
            ),
            ("redis://:Zq9Xk7Lm@10.0.0.7", Warning, Warning),
            ("redis://:Zq9Xk7Lm@redis.example.com", Warning, Error),
            ("redis://redis.example.com", Warning, Error),
            (
                "redis+sentinel://:Zq9Xk7Lm@cache,redis.example.com/mymaster",
                Warning,
                Error,
            ),
            ("redis+cluster://:Zq9Xk7Lm@198.51.100.7", Warning, Error),
        ] {
            let redis = RedisSettings::parse(url).unwrap();
            for (environment, severity) in [(development, here), (production, in_production)] {
                let [_, plain] = examine(&redis, environment);
                assert_eq!(plain.severity, severity, "{url} {plain}");
                assert!(!plain.to_string().contains("Zq9Xk7Lm"), "{plain}");
            }
        }
    }
}
