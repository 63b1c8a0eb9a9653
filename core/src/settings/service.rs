//! Variables that no person wrote: what Kubernetes and the links of Docker put into the environment for each service.
//!
//! For a service `posada-api` they are `POSADA_API_SERVICE_HOST`, `POSADA_API_SERVICE_PORT`, `POSADA_API_PORT` with a
//! value such as `tcp://10.0.0.11:8080`, `POSADA_API_PORT_8080_TCP` and its companions; for a link `posada` also
//! `POSADA_NAME` and everything in the other container's environment as `POSADA_ENV_…`. A service named `redis` or
//! `postgres` makes `REDIS_PORT` and `POSTGRES_PORT`, which have another meaning here. Such a variable says where some
//! service is, not where this program should go, so it is not read.

/// Looks for variables of services.
pub(super) struct Services {
    /// The names of services, in upper case, by the one variable that has a telling value.
    names: Vec<String>,
}

impl Services {
    /// Of which services these variables speak.
    pub(super) fn among(vars: &[(String, String)]) -> Self {
        let names = vars
            .iter()
            .filter(|(_, value)| is_address(value))
            .filter_map(|(name, _)| {
                let upper = name.to_ascii_uppercase();
                upper.strip_suffix("_PORT").map(str::to_owned)
            });
        Self {
            names: names.collect(),
        }
    }

    /// Whether no person wrote this variable.
    pub(super) fn made(&self, name: &str, value: &str) -> bool {
        let name = name.to_ascii_uppercase();
        name.ends_with("_PORT") && is_address(value)
            || name.ends_with("_SERVICE_HOST")
            || name.ends_with("_SERVICE_PORT")
            || name.contains("_SERVICE_PORT_")
            || is_of_port(&name)
            || self.is_of_link(&name, value)
    }

    /// `POSADA_NAME=/app/posada` and `POSADA_ENV_PATH`, beside `POSADA_PORT=tcp://…`.
    fn is_of_link(&self, name: &str, value: &str) -> bool {
        let mut rests = self
            .names
            .iter()
            .filter_map(|service| name.strip_prefix(service.as_str()));
        rests.any(|rest| rest.starts_with("_ENV_") || rest == "_NAME" && value.starts_with('/'))
    }
}

/// `tcp://10.0.0.11:6379` and its like.
fn is_address(value: &str) -> bool {
    let value = value.trim();
    ["tcp://", "udp://", "sctp://"]
        .iter()
        .any(|protocol| value.starts_with(protocol))
}

/// `…_PORT_6379_TCP`, and with `_PROTO`, `_PORT` or `_ADDR` behind it.
fn is_of_port(name: &str) -> bool {
    let Some((_, rest)) = name.rsplit_once("_PORT_").filter(|(_, rest)| !rest.is_empty()) else {
        // The last one may be the suffix itself, as in POSADA_PORT_8080_TCP_PORT.
        return name.strip_suffix("_PORT").is_some_and(is_of_port);
    };
    let mut words = rest.split('_');
    let number = words.next().is_some_and(|word| word.parse::<u16>().is_ok());
    let protocol = words
        .next()
        .is_some_and(|word| matches!(word, "TCP" | "UDP" | "SCTP"));
    let part = words
        .next()
        .is_none_or(|word| matches!(word, "PROTO" | "PORT" | "ADDR"));
    number && protocol && part && words.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(vars: &[(&str, &str)]) -> Vec<bool> {
        let vars: Vec<(String, String)> = vars
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let services = Services::among(&vars);
        vars.iter()
            .map(|(name, value)| services.made(name, value))
            .collect()
    }

    #[test]
    fn the_variables_of_kubernetes_and_docker_are_recognised() {
        for vars in [
            &[
                ("POSADA_API_SERVICE_HOST", "10.96.0.12"),
                ("POSADA_API_SERVICE_PORT", "8080"),
                ("POSADA_API_SERVICE_PORT_HTTP", "8080"),
                ("POSADA_API_SERVICE_PORT_HTTP_METRICS", "9090"),
                ("POSADA_API_PORT", "tcp://10.96.0.12:8080"),
                ("POSADA_API_PORT_8080_TCP", "tcp://10.96.0.12:8080"),
                ("POSADA_API_PORT_8080_TCP_PROTO", "tcp"),
                ("POSADA_API_PORT_8080_TCP_PORT", "8080"),
                ("POSADA_API_PORT_8080_TCP_ADDR", "10.96.0.12"),
                ("POSADA_API_PORT_53_UDP", "udp://10.96.0.12:53"),
                ("POSADA_API_PORT_9_SCTP_ADDR", "10.96.0.12"),
            ][..],
            &[
                ("POSADA_PORT", "tcp://10.96.0.12:8080"),
                ("POSADA_SERVICE_HOST", "10.96.0.12"),
                ("REDIS_PORT", "tcp://10.96.0.13:6379"),
                ("POSTGRES_PORT", "tcp://[fd00::7]:5432"),
                ("redis_port", " udp://10.96.0.13:6379"),
            ],
            &[
                ("POSADA_NAME", "/app/posada"),
                ("POSADA_ENV_PATH", "/usr/bin"),
                ("POSADA_ENV_SECRET_KEY", "x"),
                ("POSADA_PORT", "tcp://172.17.0.5:8080"),
            ],
        ] {
            assert!(made(vars).iter().all(|made| *made), "{vars:?} {:?}", made(vars));
        }
    }

    #[test]
    fn what_somebody_wrote_is_not_taken_for_one() {
        let vars = [
            ("REDIS_PORT", "6379"),
            ("POSTGRES_PORT", "tcp"),
            ("POSADA_PORT", "8080"),
            ("POSADA_NAME", "/app/posada"),
            ("POSADA_ENV_PATH", "/usr/bin"),
            ("POSADA_PORT_8080", "x"),
            ("POSADA_PORT_HTTP_TCP", "x"),
            ("POSADA_PORT_8080_TCP_HOST", "x"),
            ("POSADA_SESION_TTL", "1800"),
            ("REDIS_URL", "tcp://10.96.0.13:6379"),
            ("REDIS_HOST", "tcp://10.96.0.13:6379"),
        ];
        assert!(made(&vars).iter().all(|made| !made), "{:?}", made(&vars));
    }
}
