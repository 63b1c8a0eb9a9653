//! Whatever bytes somebody answers instead of a QloApps server: no panic, no success without a status of success, no
//! question that is said to have changed something, and no secret in an error.

#![no_main]
#![allow(missing_docs, reason = "a program for the fuzzer")]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| posada::testkit::qloapps::read_anything(bytes));
