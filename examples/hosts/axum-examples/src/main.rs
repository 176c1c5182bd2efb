//! Runs a program of `programs`: `axum NAME ARGUMENT...` as it is there, `ebbtide NAME ARGUMENT...` with its line changed.

include!(concat!(env!("OUT_DIR"), "/programs.rs"));

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (form, name) = (arguments.next(), arguments.next().unwrap_or_default());
    let Some((_, [axum, ebbtide])) = PROGRAMS.iter().find(|(it, _)| *it == name) else {
        panic!("there is no program {name:?}");
    };
    match form.as_deref() {
        Some("axum") => axum(),
        Some("ebbtide") => ebbtide(),
        _ => panic!("a program is of \"axum\" or of \"ebbtide\""),
    }
}
