//! What keeps a server from starting: exit code 2, one line that says why, and nothing left running.

use std::net::TcpListener;

use ebbtide_tests::process::{Exit, fail};

const ANY: &str = "127.0.0.1:0";

fn refuses(exit: &Exit, reason: &str) {
    assert_eq!(exit.code, Some(2), "{exit:#?}");
    assert!(exit.stderr.lines().count() == 1 && exit.stderr.contains(reason), "{exit:#?}");
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = TcpListener::bind(ANY).expect("a port");
    let addr = taken.local_addr().expect("bound").to_string();
    let reason = format!("{addr}: Address already in use");
    refuses(&fail(&["--addr", &addr, "--diag-addr", ANY]), &reason);
    refuses(&fail(&["--addr", ANY, "--diag-addr", &addr]), &reason);
}

#[test]
fn a_flag_that_does_not_exist_is_named() {
    refuses(&fail(&["--adr", ANY]), "no flag --adr");
}

#[test]
fn a_flag_without_sense_is_named() {
    refuses(&fail(&["--drain-timeout-ms", "soon"]), "--drain-timeout-ms soon");
}

#[test]
fn a_certificate_that_cannot_be_read_is_named() {
    let missing = "/nowhere/certificate.pem";
    let flags = ["--tls-addr", ANY, "--tls-cert", missing, "--tls-key", missing, "--addr", ANY, "--diag-addr", ANY];
    refuses(&fail(&flags), &format!("cannot read {missing}"));
}

#[test]
fn half_of_what_tls_needs_is_refused() {
    refuses(&fail(&["--tls-addr", ANY]), "go together");
}

#[test]
fn help_is_not_a_failure() {
    let exit = fail(&["--help"]);
    assert_eq!(exit.code, Some(0), "{exit:#?}");
    assert!(exit.stdout.iter().any(|line| line.contains("--drain-timeout-ms")), "{exit:#?}");
}
