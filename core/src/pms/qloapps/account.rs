//! The money of an order: its lines, its invoices and its payments stand in three resources.

use serde_json::Value;

use super::availability::money;
use super::catalogue::Catalogue;
use super::http::HttpClient;
use super::query::Query;
use super::reader::Node;
use crate::error::Result;
use crate::pms::folio::{Folio, FolioLine, Invoice, Payment};
use crate::pms::money::{Currency, Money};
use crate::pms::record::Record;

/// Reads all three at once.
///
/// # Errors
/// Those of the reads.
pub(super) async fn folio(http: &HttpClient, catalogue: &Catalogue, record: &Record) -> Result<Folio> {
    let of_order = || Query::full().equal("id_order", record.id);
    let of_reference = Query::full().equal("order_reference", &record.reference);
    let (lines, invoices, payments) = tokio::try_join!(
        http.list("order_details", "order_details", of_order()),
        http.list("order_invoices", "order_invoices", of_order()),
        http.list("order_payments", "order_payments", of_reference),
    )?;
    let currency = record.total.currency();
    let payments = read_payments(&payments, catalogue)?;
    let mut paid = Money::zero(currency);
    // A payment in another currency stands in the list and in no sum.
    for payment in payments
        .iter()
        .filter(|payment| payment.amount.currency() == currency)
    {
        paid = paid.plus(payment.amount)?;
    }
    Ok(Folio {
        booking: record.id,
        lines: read_lines(&lines, currency)?,
        invoices: read_invoices(&invoices, currency, catalogue)?,
        payments,
        total: record.total,
        paid,
    })
}

/// Reads the lines of an order.
pub(super) fn read_lines(list: &Value, currency: Currency) -> Result<Vec<FolioLine>> {
    let line = |node: Node<'_>| {
        Ok(FolioLine {
            name: node.required("product_name", Node::text)?,
            quantity: node.required("product_quantity", Node::count)?,
            net_total: money(node.required("total_price_tax_excl", Node::decimal)?, currency)?,
            total: money(node.required("total_price_tax_incl", Node::decimal)?, currency)?,
        })
    };
    Node::new(list).list().into_iter().map(line).collect()
}

/// Reads the invoices of an order.
pub(super) fn read_invoices(list: &Value, currency: Currency, catalogue: &Catalogue) -> Result<Vec<Invoice>> {
    let invoice = |node: Node<'_>| {
        Ok(Invoice {
            number: node.required("number", Node::text)?,
            made_at: catalogue.moment(node.required("date_add", Node::moment)?),
            net_total: money(node.required("total_paid_tax_excl", Node::decimal)?, currency)?,
            total: money(node.required("total_paid_tax_incl", Node::decimal)?, currency)?,
        })
    };
    Node::new(list).list().into_iter().map(invoice).collect()
}

/// Reads what was paid for an order.
pub(super) fn read_payments(list: &Value, catalogue: &Catalogue) -> Result<Vec<Payment>> {
    let payment = |node: Node<'_>| {
        let currency = catalogue.currency(node.required("id_currency", Node::number)?)?;
        Ok(Payment {
            amount: money(node.required("amount", Node::decimal)?, currency)?,
            method: node.field("payment_method").text().unwrap_or_default(),
            transaction: node.field("transaction_id").text(),
            paid_at: catalogue.moment(node.required("date_add", Node::moment)?),
        })
    };
    Node::new(list).list().into_iter().map(payment).collect()
}
