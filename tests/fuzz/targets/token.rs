//! Whatever bytes somebody sends as a token: no panic, and nothing is accepted that nobody with the key made.

#![no_main]
#![allow(missing_docs, reason = "a program for the fuzzer")]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| posada::testkit::auth::read_anything(bytes));
