//! Where a message came from.

use std::fmt;

use crate::error::{Error, Result, codes};
use crate::text::Shown;

/// The way on which a guest reached the hotel.
///
/// It is a hint for reading identifiers: what arrives by WhatsApp is a phone number even when it looks like
/// something else. It never chooses a tenant by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Channel {
    /// WhatsApp, whose senders are phone numbers without `+`.
    WhatsApp,
    /// E-mail; the app calls it `gmail`.
    Email,
    /// The hotel's web page or a request to its host name.
    Web,
    /// Text messages.
    Sms,
    /// Phone calls.
    Voice,
    /// Telegram, whose senders are account numbers: they mean nothing elsewhere.
    Telegram,
    /// Instagram messages, whose senders are account numbers.
    Instagram,
    /// Facebook Messenger, whose senders are account numbers.
    Messenger,
}

/// What an ambiguous text is read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Hint {
    None,
    Phone,
    /// A phone number, or an address or id of WhatsApp's own.
    WhatsApp,
    /// A phone number, also in an address of SIP.
    Voice,
    Host,
    /// An account of a messenger that numbers them.
    Account(Channel),
}

impl Channel {
    /// All channels, in the order of their declaration.
    pub const ALL: [Self; 8] = [
        Self::WhatsApp,
        Self::Email,
        Self::Web,
        Self::Sms,
        Self::Voice,
        Self::Telegram,
        Self::Instagram,
        Self::Messenger,
    ];

    /// Reads a channel, in any case and with surrounding white space. The synonyms `gmail` and `mail`, `host`
    /// and `http`, `call` and `phone`, `facebook` are known.
    ///
    /// # Errors
    /// `tenants.invalid_channel` when no channel has that name.
    pub fn parse(text: &str) -> Result<Self> {
        // Programs write it as it is known; people do not.
        Self::named(text)
            .or_else(|| Self::named(&text.trim().to_ascii_lowercase()))
            .ok_or_else(|| {
                let known = Self::ALL.map(Self::as_str).join(", ");
                Error::field_invalid(
                    codes::TENANTS_INVALID_CHANNEL,
                    "channel",
                    format_args!("must be one of {known}, is {}", Shown(text)),
                )
            })
    }

    /// What a text with this in front of a colon is: `messenger:565233119996327`, `tel:+34600111222`. A name in front
    /// of a port looks the same, so the channels of hosts have no scheme.
    pub(super) fn of_scheme(scheme: &str) -> Option<Self> {
        match scheme.to_ascii_lowercase().as_str() {
            "tel" => Some(Self::Sms),
            "mailto" => Some(Self::Email),
            "sip" | "sips" => Some(Self::Voice),
            name => Self::named(name).filter(|channel| *channel != Self::Web),
        }
    }

    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "whatsapp" => Self::WhatsApp,
            "email" | "e-mail" | "mail" | "gmail" => Self::Email,
            "web" | "host" | "http" | "https" => Self::Web,
            "sms" => Self::Sms,
            "voice" | "call" | "phone" => Self::Voice,
            "telegram" => Self::Telegram,
            "instagram" => Self::Instagram,
            "messenger" | "facebook" => Self::Messenger,
            _ => return None,
        })
    }

    /// The stable lower-case name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WhatsApp => "whatsapp",
            Self::Email => "email",
            Self::Web => "web",
            Self::Sms => "sms",
            Self::Voice => "voice",
            Self::Telegram => "telegram",
            Self::Instagram => "instagram",
            Self::Messenger => "messenger",
        }
    }

    pub(crate) const fn hint(channel: Option<Self>) -> Hint {
        match channel {
            Some(Self::WhatsApp) => Hint::WhatsApp,
            Some(Self::Sms) => Hint::Phone,
            Some(Self::Voice) => Hint::Voice,
            Some(Self::Web) => Hint::Host,
            Some(messenger @ (Self::Telegram | Self::Instagram | Self::Messenger)) => {
                Hint::Account(messenger)
            }
            Some(Self::Email) | None => Hint::None,
        }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_channel_parses_from_its_own_name() {
        for channel in Channel::ALL {
            assert_eq!(Channel::parse(channel.as_str()).unwrap(), channel);
        }
    }

    #[test]
    fn channels_parse_in_any_case_and_by_synonym() {
        for (text, channel) in [
            (" WhatsApp ", Channel::WhatsApp),
            ("GMAIL", Channel::Email),
            ("Host", Channel::Web),
        ] {
            assert_eq!(Channel::parse(text).unwrap(), channel);
        }
    }

    #[test]
    fn an_unknown_channel_names_its_field() {
        let error = Channel::parse("pigeon").unwrap_err();
        assert!(error.is(codes::TENANTS_INVALID_CHANNEL));
        assert_eq!(error.field(), Some("channel"));
    }
}
