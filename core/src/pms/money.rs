//! Money: a decimal amount and its currency. Never a float, and never two currencies in one sum.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use rust_decimal::{Decimal, RoundingStrategy};

use crate::error::{Error, Result, codes};
use crate::text::Shown;

/// An ISO 4217 code: three letters, kept in upper case. Codes are not checked against a list, because a hotel may
/// sell in any currency that its own system knows.
///
/// ```
/// # use posada::pms::Currency;
/// assert_eq!(Currency::parse("usd")?.as_str(), "USD");
/// # Ok::<(), posada::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Currency([u8; 3]);

impl Currency {
    /// Reads a code.
    ///
    /// # Errors
    /// `money.invalid` (field `currency`) unless it is exactly three ASCII letters.
    pub fn parse(text: &str) -> Result<Self> {
        match *text.as_bytes() {
            [a, b, c] if text.bytes().all(|byte| byte.is_ascii_alphabetic()) => {
                Ok(Self([a, b, c].map(|byte| byte.to_ascii_uppercase())))
            }
            _ => Err(invalid(
                "currency",
                &format_args!("must be three letters such as USD, is {}", Shown(text)),
            )),
        }
    }

    /// The code, in upper case.
    pub fn as_str(&self) -> &str {
        // Three ASCII letters are always UTF-8.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// How many decimals people write in this currency: two, except for those without cents and those with mils.
    pub fn decimals(self) -> u32 {
        match &self.0 {
            b"BIF" | b"CLP" | b"DJF" | b"GNF" | b"ISK" | b"JPY" | b"KMF" | b"KRW" | b"PYG" | b"RWF"
            | b"UGX" | b"UYI" | b"VND" | b"VUV" | b"XAF" | b"XOF" | b"XPF" => 0,
            b"BHD" | b"IQD" | b"JOD" | b"KWD" | b"LYD" | b"OMR" | b"TND" => 3,
            _ => 2,
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Currency({self})")
    }
}

impl FromStr for Currency {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

/// An amount in one currency. Arithmetic is checked: an overflow or a mix of currencies is `money.invalid`.
///
/// Two amounts are equal when their values and currencies are, however many zeros were written; amounts of
/// different currencies have no order.
///
/// ```
/// use posada::Money;
/// let night = Money::parse("1300", "USD")?;
/// assert_eq!(night.times(2)?.to_string(), "2600.00 USD");
/// assert!(night.plus(Money::parse("1", "EUR")?).is_err());
/// # Ok::<(), posada::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Money {
    amount: Decimal,
    currency: Currency,
}

impl Money {
    /// Most digits before the point.
    pub const MAX_WHOLE_DIGITS: u32 = 12;
    /// Most digits after the point: what hotel systems store.
    pub const MAX_DECIMALS: u32 = 6;

    /// An amount that was computed elsewhere.
    ///
    /// # Errors
    /// `money.invalid` (field `amount`) beyond twelve digits before or six after the point.
    pub fn new(amount: Decimal, currency: Currency) -> Result<Self> {
        let amount = amount.normalize();
        if amount.trunc().abs() >= Decimal::from(10u64.pow(Self::MAX_WHOLE_DIGITS)) {
            return Err(invalid("amount", &"must have at most 12 digits before the point"));
        }
        if amount.scale() > Self::MAX_DECIMALS {
            return Err(invalid("amount", &"must have at most 6 digits after the point"));
        }
        Ok(Self { amount, currency })
    }

    /// Reads a plain decimal such as `2080.00` or `-12.5`, and a currency. Exponents, thousands separators,
    /// surrounding white space, a plus sign and leading zeros are refused: a lenient amount is a wrong price.
    ///
    /// # Errors
    /// `money.invalid`, naming the field `amount` or `currency`.
    pub fn parse(amount: &str, currency: &str) -> Result<Self> {
        let refused = || {
            invalid(
                "amount",
                &format_args!("must be a plain decimal such as 2080.00, is {}", Shown(amount)),
            )
        };
        if !is_plain_decimal(amount) {
            return Err(refused());
        }
        let number = Decimal::from_str_exact(amount).map_err(|_| refused())?;
        Self::new(number, Currency::parse(currency)?)
    }

    /// Nothing, in this currency.
    pub fn zero(currency: Currency) -> Self {
        Self {
            amount: Decimal::ZERO,
            currency,
        }
    }

    /// The number.
    pub fn amount(self) -> Decimal {
        self.amount
    }

    /// The number with the decimals with which it is written: those of the currency, and more only when it has them.
    pub fn written_amount(self) -> Decimal {
        let mut amount = self.amount;
        amount.rescale(self.currency.decimals().max(amount.scale()));
        amount
    }

    /// The currency.
    pub fn currency(self) -> Currency {
        self.currency
    }

    /// The sum.
    ///
    /// # Errors
    /// `money.invalid` for two currencies, or a sum that is too large.
    pub fn plus(self, other: Self) -> Result<Self> {
        self.same_currency(other)?;
        Self::computed(self.amount.checked_add(other.amount), self.currency)
    }

    /// The difference, which may be negative.
    ///
    /// # Errors
    /// `money.invalid` for two currencies, or a difference that is too large.
    pub fn minus(self, other: Self) -> Result<Self> {
        self.same_currency(other)?;
        Self::computed(self.amount.checked_sub(other.amount), self.currency)
    }

    /// The amount multiplied by a number of rooms, nights or guests.
    ///
    /// # Errors
    /// `money.invalid` when the product is too large.
    pub fn times(self, count: u32) -> Result<Self> {
        Self::computed(self.amount.checked_mul(Decimal::from(count)), self.currency)
    }

    /// The amount times a rate such as `1.04`, rounded half up to the decimals of the currency.
    ///
    /// # Errors
    /// `money.invalid` when the product is too large.
    pub fn scaled(self, rate: Decimal) -> Result<Self> {
        let product = self.amount.checked_mul(rate).map(|product| {
            product.round_dp_with_strategy(self.currency.decimals(), RoundingStrategy::MidpointAwayFromZero)
        });
        Self::computed(product, self.currency)
    }

    /// The sum of amounts, in this currency.
    ///
    /// # Errors
    /// `money.invalid` for two currencies, or a sum that is too large.
    pub fn sum(currency: Currency, amounts: impl IntoIterator<Item = Self>) -> Result<Self> {
        amounts.into_iter().try_fold(Self::zero(currency), Self::plus)
    }

    fn same_currency(self, other: Self) -> Result<()> {
        if self.currency == other.currency {
            return Ok(());
        }
        Err(invalid(
            "currency",
            &format_args!("{} and {} cannot be added", self.currency, other.currency),
        ))
    }

    fn computed(amount: Option<Decimal>, currency: Currency) -> Result<Self> {
        let amount = amount.ok_or_else(|| invalid("amount", &"is too large"))?;
        Self::new(amount, currency)
    }
}

/// `-? (0 | [1-9][0-9]*) (. [0-9]+)?`
fn is_plain_decimal(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, decimals) = match unsigned.split_once('.') {
        Some((whole, decimals)) => (whole, Some(decimals)),
        None => (unsigned, None),
    };
    digits(whole) && (whole == "0" || !whole.starts_with('0')) && decimals.is_none_or(digits)
}

impl PartialOrd for Money {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self.currency == other.currency).then(|| self.amount.cmp(&other.amount))
    }
}

impl fmt::Display for Money {
    /// `2080.00 USD`: at least the decimals of the currency, and more only when the amount has them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.written_amount(), self.currency)
    }
}

impl fmt::Debug for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Money({self})")
    }
}

impl FromStr for Money {
    type Err = Error;

    /// Reads what [`Display`](fmt::Display) writes: an amount, one space, a currency.
    fn from_str(text: &str) -> Result<Self> {
        let (amount, currency) = text
            .split_once(' ')
            .ok_or_else(|| invalid("amount", &"must be an amount, one space and a currency"))?;
        Self::parse(amount, currency)
    }
}

fn invalid(field: &'static str, message: &dyn fmt::Display) -> Error {
    Error::field_invalid(codes::MONEY_INVALID, field, message)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Vectors {
        parses: Vec<Parses>,
        refuses: Vec<Refuses>,
        scales: Vec<Scales>,
    }

    #[derive(Deserialize)]
    struct Parses {
        amount: String,
        currency: String,
        display: String,
    }

    #[derive(Deserialize)]
    struct Refuses {
        amount: String,
        currency: String,
        field: String,
    }

    #[derive(Deserialize)]
    struct Scales {
        money: String,
        rate: String,
        display: String,
    }

    fn vectors() -> Vectors {
        serde_json::from_str(include_str!("../../../tests/vectors/pms/money.json")).unwrap()
    }

    fn money(text: &str) -> Money {
        text.parse().unwrap()
    }

    #[test]
    fn the_shared_vectors_parse_and_display_as_written() {
        for vector in vectors().parses {
            let parsed = Money::parse(&vector.amount, &vector.currency).unwrap();
            assert_eq!(parsed.to_string(), vector.display, "{}", vector.amount);
            assert_eq!(money(&vector.display), parsed);
        }
    }

    #[test]
    fn the_shared_vectors_that_are_refused_name_their_field() {
        for vector in vectors().refuses {
            let error = Money::parse(&vector.amount, &vector.currency).unwrap_err();
            assert!(error.is(codes::MONEY_INVALID));
            assert_eq!(error.field(), Some(vector.field.as_str()), "{:?}", vector.amount);
        }
    }

    #[test]
    fn rates_round_half_up_to_the_decimals_of_the_currency() {
        for vector in vectors().scales {
            let scaled = money(&vector.money).scaled(vector.rate.parse().unwrap()).unwrap();
            assert_eq!(
                scaled.to_string(),
                vector.display,
                "{} x {}",
                vector.money,
                vector.rate
            );
        }
    }

    #[test]
    fn currencies_do_not_mix() {
        let (dollars, euros) = (money("1.00 USD"), money("1.00 EUR"));
        assert!(dollars.plus(euros).unwrap_err().is(codes::MONEY_INVALID));
        assert_ne!(dollars, euros);
        assert_eq!(dollars.partial_cmp(&euros), None);
    }

    #[test]
    fn an_amount_that_grows_too_large_is_an_error() {
        let much = money("999999999999.00 USD");
        assert!(much.plus(money("1.00 USD")).unwrap_err().is(codes::MONEY_INVALID));
        assert!(much.times(u32::MAX).unwrap_err().is(codes::MONEY_INVALID));
    }

    #[test]
    fn equal_values_are_equal_however_they_are_written() {
        assert_eq!(money("2080 USD"), money("2080.000000 USD"));
    }

    proptest! {
        #[test]
        fn display_reads_back(units in -999_999_999_999_999_999i64..=999_999_999_999_999_999, scale in 0u32..=6) {
            let amount = Decimal::new(units / 10i64.pow(6 - scale), scale);
            let written = Money::new(amount, Currency::parse("USD").unwrap()).unwrap();
            prop_assert_eq!(money(&written.to_string()), written);
        }

        #[test]
        fn any_text_parses_or_is_refused_without_a_panic(amount in ".{0,24}", currency in ".{0,5}") {
            let _ = Money::parse(&amount, &currency);
        }
    }
}
