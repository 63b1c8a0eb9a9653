//! The options of a Redis URL, in the spelling of redis-py; that of other clients (`sentinelPassword`) means the same.

use std::path::PathBuf;

use super::Secret;
use super::postgres_url::unknown_option;
use super::redis_server::ClientCertificate;
use super::redis_url::database_number;
use super::sourced::{Fault, yes_or_no};
use crate::text::Shown;

/// The options that mean something here.
const KNOWN: [&str; 13] = [
    "db",
    "family",
    "password",
    "protocol",
    "sentinel_password",
    "sentinel_username",
    "ssl",
    "ssl_ca_certs",
    "ssl_cert_reqs",
    "ssl_certfile",
    "ssl_check_hostname",
    "ssl_keyfile",
    "username",
];

/// Options with which other clients tune their own pools, timers and texts, without case and underscores; read over.
const FOREIGN: [&str; 58] = [
    "autopipeline",
    "autoresendunfulfilledcommands",
    "autoresubscribe",
    "blockingpooltimeout",
    "clientname",
    "clustererrorretryattempts",
    "commandtimeout",
    "connectionname",
    "connectionpoolclassname",
    "connectionretries",
    "connectretry",
    "connecttimeout",
    "connmaxidletime",
    "connmaxlifetime",
    "decoderesponses",
    "dialtimeout",
    "disableidentity",
    "dynamicstartupnodes",
    "enableautopipelining",
    "enableofflinequeue",
    "enablereadycheck",
    "encoding",
    "encodingerrors",
    "healthcheckinterval",
    "idlecheckfrequency",
    "idletimeout",
    "keepalive",
    "lazyconnect",
    "legacyresponses",
    "libname",
    "libraryname",
    "libversion",
    "maxactiveconns",
    "maxconnage",
    "maxconnections",
    "maxidleconns",
    "maxredirects",
    "maxretries",
    "maxretriesperrequest",
    "maxretrybackoff",
    "minidleconns",
    "minretrybackoff",
    "nodelay",
    "poolfifo",
    "poolsize",
    "pooltimeout",
    "readtimeout",
    "reinitializesteps",
    "requirefullcoverage",
    "retryonerror",
    "retryontimeout",
    "singleconnectionclient",
    "skipfullcoveragecheck",
    "socketconnecttimeout",
    "socketkeepalive",
    "socketreadsize",
    "sockettimeout",
    "timeout",
];

/// Later names of the same list, and what the others forgot.
const FOREIGN_TOO: [&str; 4] = [
    "allowusernameinuri",
    "showfriendlyerrorstack",
    "sockettype",
    "writetimeout",
];

/// What the options of a URL say.
#[derive(Debug, Default)]
pub(super) struct Options {
    pub(super) database: Option<i64>,
    pub(super) username: Option<String>,
    pub(super) password: Option<Secret>,
    pub(super) sentinel_username: Option<String>,
    pub(super) sentinel_password: Option<Secret>,
    pub(super) root_certificate: Option<PathBuf>,
    pub(super) client_certificate: Option<ClientCertificate>,
    /// Whether TLS is asked for beside the scheme.
    tls: Option<bool>,
}

impl Options {
    /// Reads names and values. An option that is silently dropped may be the one that protects the connection, so an
    /// unknown one is a fault.
    pub(super) fn read(options: &[(String, String)]) -> Result<Self, Fault> {
        let mut read = Self::default();
        let (mut certificate, mut key) = (None, None);
        for (name, value) in options {
            match plain(name).as_str() {
                "db" | "database" | "virtualhost" => {
                    let number = database_number(value)?;
                    if read.database.replace(number).is_some_and(|other| other != number) {
                        return Err("gives two different database numbers".into());
                    }
                }
                "username" => read.username = Some(value.clone()),
                "password" => read.password = Some(Secret::new(value.as_str())),
                "sentinelusername" => read.sentinel_username = Some(value.clone()),
                "sentinelpassword" => read.sentinel_password = Some(Secret::new(value.as_str())),
                "ssl" | "tls" => read.tls = Some(yes_or_no(value).map_err(|_| "ssl must be true or false")?),
                "sslcacerts" => read.root_certificate = Some(file("ssl_ca_certs", value)?),
                "sslcertfile" => certificate = Some(file("ssl_certfile", value)?),
                "sslkeyfile" => key = Some(file("ssl_keyfile", value)?),
                "sslkeyfilepassword" | "sslpassword" => {
                    return Err(
                        "must name a key without a password in ssl_keyfile; posada opens no encrypted keys"
                            .into(),
                    );
                }
                "sslcapath" | "sslcadata" => {
                    return Err("must name one file of root certificates in ssl_ca_certs".into());
                }
                "sslcertreqs" => checks("ssl_cert_reqs must be required", is_required(value))?,
                "sslcheckhostname" => checks(
                    "ssl_check_hostname must be true",
                    yes_or_no(value).unwrap_or(false),
                )?,
                "skipverify" => checks("skip_verify must be false", !yes_or_no(value).unwrap_or(true))?,
                "verifypeer" => checks("verifyPeer must be FULL", value.eq_ignore_ascii_case("full"))?,
                // All addresses of a host are tried in any case.
                "family" if matches!(value.as_str(), "0" | "4" | "6") => {}
                "family" => return Err("family must be 0, 4 or 6".into()),
                "protocol" if matches!(value.as_str(), "2" | "3" | "resp2" | "resp3") => {}
                "protocol" => return Err("protocol must be 2 or 3 (posada speaks 3 in any case)".into()),
                plain if FOREIGN.contains(&plain) || FOREIGN_TOO.contains(&plain) => {}
                _ => return Err(unknown_option(name, &KNOWN)),
            }
        }
        read.client_certificate = match (certificate, key) {
            (None, None) => None,
            (Some(certificate), key) => Some(ClientCertificate {
                key: key.unwrap_or_else(|| certificate.clone()),
                certificate,
            }),
            (None, Some(_)) => {
                return Err("has an ssl_keyfile without the certificate in ssl_certfile".into());
            }
        };
        Ok(read)
    }

    /// Whether they belong to such a URL.
    pub(super) fn fit(&self, tls: bool, has_sentinels: bool) -> Result<(), Fault> {
        let of_tls = self.root_certificate.is_some() || self.client_certificate.is_some();
        if self.tls.is_some_and(|asked| asked != tls) || of_tls && !tls {
            return Err(
                "must begin with rediss:// for TLS and its certificates, and with redis:// without".into(),
            );
        }
        let of_sentinels = self.sentinel_username.is_some() || self.sentinel_password.is_some();
        if of_sentinels && !has_sentinels {
            return Err(
                "has sentinel_username or sentinel_password, which belong to redis+sentinel://".into(),
            );
        }
        if self.sentinel_username.is_some() && self.sentinel_password.is_none() {
            return Err("has a sentinel_username without sentinel_password".into());
        }
        Ok(())
    }
}

/// A name without case and underscores, so that `socketTimeout` and `socket_timeout` are one.
fn plain(name: &str) -> String {
    name.chars()
        .filter(|letter| *letter != '_')
        .map(|letter| letter.to_ascii_lowercase())
        .collect()
}

fn is_required(value: &str) -> bool {
    matches!(value, "required" | "CERT_REQUIRED" | "2")
}

fn checks(wanted: &str, does: bool) -> Result<(), Fault> {
    if does {
        return Ok(());
    }
    let message =
        format!("{wanted}: posada always checks certificates; give the root of your own in ssl_ca_certs");
    Err(message.into())
}

/// A file must exist: otherwise the first connection would fail, hours later perhaps.
fn file(option: &str, value: &str) -> Result<PathBuf, Fault> {
    let path = PathBuf::from(value);
    if path.is_file() {
        Ok(path)
    } else {
        Err(format!(
            "{option} must name a file that exists; there is no file {}",
            Shown(value)
        )
        .into())
    }
}
