//! What the hotel's own system says when it is asked.

use super::codes;
use super::model::Finding;
use crate::error::{Error, codes as errors};
use crate::pms::PmsClient;
use crate::settings::QloAppsSettings;

/// Asks the QloApps server what our key may do, and for its hotels. Writes nothing.
pub(super) async fn examine(pms: &PmsClient, server: &QloAppsSettings) -> Vec<Finding> {
    let missing = match pms.self_test().await {
        Ok(missing) => missing,
        Err(error) => return vec![failed(&error, server)],
    };
    let mut findings = vec![Finding::ok(
        codes::PMS_CONNECTION,
        format!("{} answers, and knows the key.", server.base_url),
    )];
    if missing.is_empty() {
        findings.push(Finding::ok(
            codes::PMS_PERMISSIONS,
            "The key sees every resource that posada needs.",
        ));
    }
    for lacking in &missing {
        findings.push(Finding::error(
            codes::PMS_PERMISSIONS,
            format!(
                "The key does not see {}, which is needed for: {}.",
                lacking.resource, lacking.needed_for
            ),
            format!(
                "Tick {} for {} at the key, in the back office under Advanced Parameters, Web service.",
                lacking.methods, lacking.resource
            ),
        ));
    }
    if missing.iter().all(|lacking| lacking.resource != "hotels") {
        findings.extend(hotel(pms, server).await);
    }
    findings
}

async fn hotel(pms: &PmsClient, server: &QloAppsSettings) -> Option<Finding> {
    let id = server.hotel_id;
    // That the QloApps server answers is known; what else is wrong with the list shows in the permissions.
    let hotels = pms.hotels().await.ok()?;
    if let Some(hotel) = hotels.iter().find(|hotel| hotel.id.number() == Some(id)) {
        return Some(Finding::ok(
            codes::PMS_HOTEL,
            format!("The hotel {id} is {}.", hotel.name),
        ));
    }
    let known: Vec<String> = hotels.iter().map(|hotel| hotel.id.to_string()).collect();
    Some(Finding::error(
        codes::PMS_HOTEL,
        format!(
            "The QloApps server has no hotel {id}; it has {}.",
            if known.is_empty() {
                "none".to_owned()
            } else {
                known.join(", ")
            }
        ),
        "Set PMS_HOTEL_ID to one of them.",
    ))
}

fn failed(error: &Error, server: &QloAppsSettings) -> Finding {
    let seen = format!("{}: {error}.", server.base_url);
    let (code, remedy) = if error.is(errors::PMS_REFUSED) {
        (
            codes::PMS_KEY,
            "Copy the key from the back office (Advanced Parameters, Web service) into PMS_API_KEY, and enable it there.",
        )
    } else if error.is(errors::PMS_SWITCHED_OFF) {
        (
            codes::PMS_SWITCHED_OFF,
            "Switch it on in the back office: Advanced Parameters, Web service, Enable.",
        )
    } else if error.is(errors::PMS_NOT_PERMITTED) {
        (
            codes::PMS_PERMISSIONS,
            "Tick the resources that posada needs at the key, under Web service.",
        )
    } else if error.is(errors::PMS_WRONG_SYSTEM) {
        (
            codes::PMS_ADDRESS,
            "Set PMS_BASE_URL to the address that the QloApps server itself uses, with its scheme and port and without \
             /api, and let the web server rewrite /api.",
        )
    } else if error.is(errors::POSADA_CLOSED) {
        (codes::CLOSED, "Ask a handle that is open.")
    } else {
        (
            codes::PMS_UNREACHABLE,
            "Check that the QloApps server runs, that PMS_BASE_URL is right, and that firewalls let this machine \
             through.",
        )
    };
    Finding::error(code, seen, remedy)
}
