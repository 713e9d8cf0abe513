//! Tests of the test: which imports are seen, on sources of a few words.

use super::crates::{Modules, Sources};
use super::graph::Graph;

fn sources(files: &[(&str, &str)]) -> Sources {
    files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

/// The imports of a crate with these files, as `a.rs -> b.rs`.
fn edges(files: &[(&str, &str)]) -> Vec<String> {
    Graph::of(&sources(files)).edges().map(|(from, to)| format!("{from} -> {to}")).collect()
}

/// The imports of `a.rs` with this text beside `b.rs` and `c/mod.rs`, `c/d.rs`.
fn edges_of_a(text: &str) -> Vec<String> {
    edges(&[
        ("lib.rs", "pub mod a; pub mod b; pub mod c;"),
        ("a.rs", text),
        ("b.rs", "pub struct B; pub trait Speak {} pub fn b() {} pub const LIMIT: u8 = 1;"),
        ("c/mod.rs", "mod d; pub use d::D; pub(crate) use d::d as renamed; pub struct C;"),
        ("c/d.rs", "pub struct D; pub enum E { One } pub fn d() {}"),
    ])
}

#[test]
fn every_way_to_write_an_import_counts() {
    for text in [
        "use crate::b::B;",
        "use super::b::B;",
        "use self::super::b::B;",
        "use crate::b::{B};",
        "use crate::{b::{B as Other, b}, c};",
        "use crate::b::*;",
        "use crate::b; fn f() -> b::B { todo() }",
        "use crate::b as other; fn f() { other::b() }",
        "use crate::b::{self}; fn f() { b::b() }",
        "use crate::b::{self as other}; fn f() { other::b() }",
        "fn f() { crate::b::b() }",
        "fn f(_: &dyn super::b::Speak) {}",
        "fn f() { use super::b::b; b() }",
        "impl crate::b::Speak for u8 {}",
        "struct A<T: crate::b::Speak>(T);",
        "fn f() { let _ = <u8 as crate::b::Speak>::x; }",
        "fn f() -> Vec<Option<crate::b::B>> { Vec::new() }",
        "fn f() { println!(\"{}\", crate::b::LIMIT) }",
        "fn f() { assert!(matches!(x, Some(super::b::B))) }",
        "#[derive(super::b::B)] struct A;",
        "#[arg(value_parser = crate::b::b)] struct A;",
        "pub mod inner { use super::super::b::B; }",
        "pub mod inner { fn f() { crate::b::b() } }",
    ] {
        assert_eq!(edges_of_a(text), ["a.rs -> b.rs"], "{text}");
    }
}

#[test]
fn what_imports_nothing_of_the_crate_does_not_count() {
    for text in [
        "use std::b::B;",
        "use ::b::B;",
        "fn f() { ::b::b() }",
        "pub(in crate::a) struct A;",
        "/// See [`crate::b::B`].\nstruct A;",
        "struct B; fn f() -> B { B }",
        "fn f(x: X) { x.b() }",
        "fn f(x: X) { println!(\"{}\", x.b()) }",
        "fn f() { println!(\"crate::b::B\") }",
        "#[cfg(test)] mod tests { use crate::b::B; }",
        "#[cfg(test)] use crate::b::B;",
        "#[cfg(all(test, unix))] fn f() { crate::b::b() }",
        "#[test] fn f() { crate::b::b() }",
        "struct A; impl A { #[cfg(test)] fn f() { crate::b::b() } }",
    ] {
        assert_eq!(edges_of_a(text), [""; 0], "{text}");
    }
}

#[test]
fn what_is_compiled_outside_tests_counts() {
    assert_eq!(edges_of_a("#[cfg(not(test))] use crate::b::B;"), ["a.rs -> b.rs"]);
    assert_eq!(edges_of_a("#[cfg(any(test, unix))] use crate::b::B;"), ["a.rs -> b.rs"]);
}

#[test]
fn an_import_leads_to_the_file_that_defines_the_name() {
    assert_eq!(edges_of_a("use crate::c::D;"), ["a.rs -> c/d.rs"]);
    assert_eq!(edges_of_a("use crate::c::renamed;"), ["a.rs -> c/d.rs"]);
    assert_eq!(edges_of_a("use crate::c::C;"), ["a.rs -> c/mod.rs"]);
    assert_eq!(edges_of_a("use crate::c; fn f() -> c::D { c::renamed() }"), ["a.rs -> c/d.rs"]);
    assert_eq!(edges_of_a("use crate::c::made_by_a_macro;"), ["a.rs -> c/mod.rs"]);
}

#[test]
fn a_re_export_is_an_import_only_where_it_is_used_too() {
    assert_eq!(edges_of_a("pub use crate::b::B;"), [""; 0]);
    assert_eq!(edges_of_a("pub use crate::b::B; struct A(B);"), ["a.rs -> b.rs"]);
}

#[test]
fn a_child_may_import_a_sibling_by_its_parents_re_export() {
    let found = edges(&[
        ("lib.rs", "mod p;"),
        ("p/mod.rs", "mod x; mod y; pub use x::X; pub use y::*;"),
        ("p/x.rs", "pub struct X;"),
        ("p/y.rs", "use super::X; pub struct Y(X);"),
    ]);
    assert_eq!(found, ["p/y.rs -> p/x.rs"]);
}

#[test]
fn a_function_may_have_its_modules_name() {
    let found = edges(&[
        ("lib.rs", "mod a; mod p;"),
        ("a.rs", "use crate::p::push;"),
        ("p/mod.rs", "mod push; pub use push::{Report, push};"),
        ("p/push.rs", "pub fn push() {} pub struct Report;"),
    ]);
    assert_eq!(found, ["a.rs -> p/push.rs"]);
}

#[test]
fn a_glob_re_export_is_looked_through() {
    let found = edges(&[
        ("lib.rs", "mod a; mod p; mod q;"),
        ("a.rs", "use crate::p::Deep;"),
        ("p.rs", "pub use crate::q::*;"),
        ("q.rs", "pub struct Deep;"),
    ]);
    assert_eq!(found, ["a.rs -> q.rs"]);
}

#[test]
fn the_program_imports_from_the_library_by_its_name() {
    let found = edges(&[
        ("lib.rs", "pub mod a;"),
        ("a.rs", "pub struct A;"),
        ("main.rs", "use otto_handler::a::A;"),
    ]);
    assert_eq!(found, ["main.rs -> a.rs"]);
}

#[test]
fn a_circle_is_shown_from_file_to_file() {
    let circular = sources(&[
        ("lib.rs", "mod a; mod b; mod c; mod free;"),
        ("a.rs", "pub struct A(crate::b::B);"),
        ("b.rs", "use super::c::C; pub struct B(C);"),
        ("c.rs", "pub struct C(Box<crate::a::A>);"),
        ("free.rs", "use crate::a::A;"),
    ]);
    let circles: Vec<String> = Graph::of(&circular).circles().into_iter().collect();
    assert_eq!(circles, ["a.rs -> b.rs -> c.rs -> a.rs"]);
}

#[test]
fn a_parent_and_a_child_that_need_each_other_are_a_circle() {
    let circular = sources(&[
        ("lib.rs", "mod p;"),
        ("p/mod.rs", "mod x; use x::X; pub struct P(X);"),
        ("p/x.rs", "pub struct X; fn f(_: super::P) {}"),
    ]);
    let circles: Vec<String> = Graph::of(&circular).circles().into_iter().collect();
    assert_eq!(circles, ["p/mod.rs -> p/x.rs -> p/mod.rs"]);
}

#[test]
fn crates_are_found_under_every_spelling() {
    for text in [
        "use tonic::Status;",
        "use ::tonic::Status;",
        "use {std::io, tonic::{Code, Status as S}};",
        "use tonic as wire;",
        "fn f() -> tonic::Status { g() }",
        "tonic::include_proto!(\"x\");",
        "fn f() { x!(tonic::Code::Ok) }",
        "impl From<tonic::Status> for u8 {}",
        "fn tonic() -> tonic::Status { g() }",
    ] {
        let sources = sources(&[("lib.rs", text)]);
        let modules = Modules::parse(&sources);
        assert!(modules.externals().contains(&(0, "tonic")), "{text}");
    }
    let sources = sources(&[("lib.rs", "mod tonic; use tonic::Own;"), ("tonic.rs", "")]);
    assert!(!Modules::parse(&sources).externals().contains(&(0, "tonic")));
}
