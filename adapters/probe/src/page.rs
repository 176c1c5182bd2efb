//! The page for people: one document without anything from elsewhere. It is right without JavaScript; with it, it is live.

use std::fmt::{self, Write};

use crate::chart::Chart;
use crate::snapshot::{Kind, Part, Phase, Progress, Row, Seconds, Snapshot, Stage};
use crate::text::Html;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The rule by which a browser takes nothing from elsewhere, runs no other script and shows the page in no frame. The hashes
/// are those of the style and the script; a test computes them.
pub(crate) const POLICY: &str = concat!(
    "default-src 'none'; style-src 'sha256-qrD6CI+anheME9YZbzCFheBObxpYpP8XDOA+/x7CL/Y='; script-src 'sha256-hEnNzgWM/oT5V+WJXrvHxgnF2UrRUe4fyYODHQBBvAk='; ",
    "img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// What of the page changes, each a part of it with an `id`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Sections([(&'static str, String); 4]);

/// What a page says beside what is to be seen.
pub(crate) struct Around<'a> {
    /// Of this server, as the browser knows it, with a scheme and without a slash at its end.
    pub(crate) url: &'a str,
    /// Before the paths of the probe.
    pub(crate) base: &'a str,
    pub(crate) has_actions: bool,
    pub(crate) boot: &'a str,
}

impl Sections {
    pub(crate) fn of(it: &Snapshot) -> Self {
        let sections = [("now", now as fn(&mut _, &_) -> _), ("chart", chart), ("stages", stages), ("held", held)];
        Self(sections.map(|(id, section)| {
            let mut html = String::new();
            section(&mut html, it).expect("a string takes all");
            (id, html)
        }))
    }

    /// Those that have changed since.
    pub(crate) fn news(&self, since: Option<&Self>) -> Vec<(&'static str, &str)> {
        let is_news = |at: usize| since.is_none_or(|it| it.0[at] != self.0[at]);
        self.0.iter().enumerate().filter(|(at, _)| is_news(*at)).map(|(_, (id, html))| (*id, &html[..])).collect()
    }
}

/// The whole page.
pub(crate) fn document(it: &Snapshot, around: &Around<'_>) -> String {
    let mut html = String::with_capacity(32 * 1024);
    write(&mut html, it, around).expect("a string takes all");
    html
}

fn write(html: &mut String, it: &Snapshot, around: &Around<'_>) -> fmt::Result {
    let (name, phase) = (Html(&it.name), phase(it.phase).0);
    let color = if it.ready { "%2313795b" } else { "%231d5fd0" };
    write!(
        html,
        "<!doctype html>\n<html lang=\"en\" data-boot=\"{}\" data-drain=\"{}/drain\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"robots\" content=\"noindex\">\n<title>{phase} · {name}</title>\n\
         <link rel=\"icon\" href=\"data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E\
         %3Ccircle cx='8' cy='8' r='7' fill='{color}'/%3E%3C/svg%3E\">\n<style>{STYLE}</style>\n\
         <noscript><meta http-equiv=\"refresh\" content=\"2\"></noscript>\n</head>\n<body>\n\
         <header><h1>{name}</h1><p>process {}</p><p id=\"link\">\
         <noscript>reloads every 2 s</noscript></p><p id=\"said\" role=\"status\"></p></header>\n<main>\n",
        Html(around.boot),
        Html(around.base),
        it.process,
    )?;
    if !it.killed.is_empty() {
        html.write_str("<div class=\"killed\" role=\"note\"><h2>A former drain was killed</h2>")?;
        it.killed.iter().try_for_each(|it| write!(html, "<p>{}</p>", Html(it)))?;
        html.write_str("</div>\n")?;
    }
    for (id, section) in &it.sections().0 {
        let label = match *id {
            "now" => "State",
            "chart" => "History of the drain",
            "stages" => "Stages",
            _ => "What is held",
        };
        writeln!(html, "<section id=\"{id}\" aria-label=\"{label}\">{section}</section>")?;
    }
    commands(html, around)?;
    let base = Html(around.base);
    write!(
        html,
        "</main>\n<footer><a href=\"{base}/drain.json\">JSON</a><a href=\"{base}/metrics\">metrics</a>\
         <a href=\"{base}/ready\">readiness</a><a href=\"{base}/live\">liveness</a></footer>\n\
         <script>{SCRIPT}</script>\n</body>\n</html>\n"
    )
}

/// What the service is doing, in words and in a colour.
fn phase(phase: Phase) -> (&'static str, &'static str) {
    match phase {
        Phase::Starting => ("Starting", "wait"),
        Phase::Ready => ("Ready", "good"),
        Phase::SwitchedOff => ("Not ready", "wait"),
        Phase::LameDuck => ("Lame duck", "wait"),
        Phase::Draining => ("Draining", "go"),
        Phase::Drained => ("Drained", "good"),
    }
}

fn now(html: &mut String, it: &Snapshot) -> fmt::Result {
    let (words, color) = phase(it.phase);
    let color = if it.phase == Phase::Drained && !it.cut.is_empty() { "bad" } else { color };
    let why = match it.phase {
        Phase::Ready => "takes work",
        Phase::SwitchedOff => "serves as before, and is told to send no more work here",
        _ => it.cause.as_deref().or(it.obstacle.as_deref()).unwrap_or_default(),
    };
    write!(html, "<div class=\"now\"><div><p class=\"phase {color}\">{words}</p>")?;
    write!(html, "<p class=\"why\"><bdi>{}</bdi></p></div>", Html(why))?;
    let whole = it.deadline_seconds.map_or(0.0, |it| it.0.as_secs_f64());
    match (it.phase, it.lame_duck_left_seconds, it.left_seconds) {
        (Phase::LameDuck, Some(left), _) => {
            write!(html, "<p class=\"left\"><b>{left}</b><span>until the drain begins</span></p></div>")?;
        }
        (Phase::Draining, _, Some(left)) => {
            write!(html, "<p class=\"left\"><b>{left}</b><span>left of {}</span></p></div>", Seconds::of(whole))?;
            bar(html, left.0.as_secs_f64() / whole.max(0.001), "bar", color)?;
        }
        (Phase::Draining, _, None) => html.write_str("<p class=\"left\"><span>without a deadline</span></p></div>")?,
        _ => html.write_str("</div>")?,
    }
    html.write_str("<dl class=\"facts\">")?;
    write!(html, "<div><dt>Held</dt><dd data-state=\"held\">{}</dd></div>", it.guards)?;
    if let Some(counts) = it.connections {
        for (state, n) in
            counts.by_state().into_iter().filter(|(state, n)| *n > 0 || *state == "active" || *state == "idle")
        {
            let mut title = state.to_owned();
            title[..1].make_ascii_uppercase();
            let requests = if state == "active" && counts.requests > 0 {
                format!(
                    " <small>{} {}</small>",
                    counts.requests,
                    if counts.requests == 1 { "request" } else { "requests" }
                )
            } else {
                String::new()
            };
            write!(html, "<div><dt>{title}</dt><dd data-state=\"{state}\">{n}{requests}</dd></div>")?;
        }
    }
    if let Some(elapsed) = it.elapsed_seconds {
        let title = if it.phase == Phase::Drained { "Took" } else { "Elapsed" };
        write!(html, "<div><dt>{title}</dt><dd>{elapsed}</dd></div>")?;
    } else if let Some(deadline) = it.deadline_seconds {
        write!(html, "<div><dt>Deadline</dt><dd>{deadline}</dd></div>")?;
    }
    if !it.cut.is_empty() {
        let cut: usize = it.cut.iter().map(|it| it.guards).sum();
        write!(html, "<div><dt>Cut</dt><dd class=\"bad\">{cut}</dd></div>")?;
    }
    html.write_str("</dl>")
}

fn chart(html: &mut String, it: &Snapshot) -> fmt::Result {
    html.write_str("<h2>Held over time</h2>")?;
    match Chart::of(&it.history, it.deadline_seconds.map(|it| it.0)) {
        Some(chart) => write!(html, "{chart}"),
        None => html.write_str("<p class=\"none\">Drawn from the beginning of the drain on.</p>"),
    }
}

fn stages(html: &mut String, it: &Snapshot) -> fmt::Result {
    html.write_str("<h2>Stage by stage</h2>")?;
    if it.stages.is_empty() {
        return html.write_str("<p class=\"none\">One drain, without stages.</p>");
    }
    html.write_str("<ol class=\"stages\">")?;
    it.stages.iter().enumerate().try_for_each(|(at, it)| stage(html, at + 1, it))?;
    html.write_str("</ol>")
}

fn stage(html: &mut String, number: usize, stage: &Stage) -> fmt::Result {
    let class = match stage.state {
        Progress::Draining => "on",
        Progress::Closed => "done",
        Progress::Cut => "cut",
        Progress::Waiting | Progress::Running | Progress::Ended => "",
    };
    write!(html, "<li class=\"{class}\"><span class=\"n\" aria-hidden=\"true\">{number}</span><ul class=\"parts\">")?;
    stage.parts.iter().try_for_each(|it| part(html, it, stage.closing))?;
    html.write_str("</ul></li>")
}

fn part(html: &mut String, part: &Part, is_closing: bool) -> fmt::Result {
    let (word, color) = match part.state {
        Progress::Waiting => ("waits for its turn", "quiet"),
        Progress::Running => ("running", "good"),
        Progress::Draining if is_closing => ("at work", "go"),
        Progress::Draining => ("draining", "go"),
        Progress::Ended => ("has ended", "quiet"),
        Progress::Closed => ("closed", "good"),
        Progress::Cut => ("cut", "bad"),
    };
    write!(html, "<li><b><bdi>{}</bdi></b>", Html(&part.name))?;
    if let Some(address) = &part.address {
        write!(html, "<small>{}</small>", Html(address))?;
    }
    if is_closing {
        html.write_str("<small>closing action</small>")?;
    }
    if part.outlives {
        html.write_str("<small>after the drain</small>")?;
    }
    if part.held > 0 {
        write!(html, "<small>{} held</small>", part.held)?;
    }
    if part.cut > 0 {
        write!(html, "<small class=\"bad\">{} lost</small>", part.cut)?;
    }
    write!(html, "<span class=\"pill {color}\">{word}</span></li>")
}

fn held(html: &mut String, it: &Snapshot) -> fmt::Result {
    if it.held.is_empty() && !it.cut.is_empty() {
        html.write_str("<h2>What was cut</h2><table><thead><tr><th scope=\"col\">What</th>")?;
        html.write_str("<th scope=\"col\" class=\"in\">Part</th><th scope=\"col\">Guards</th></tr></thead><tbody>")?;
        for cut in &it.cut {
            let part = Html(cut.part.as_deref().unwrap_or_default());
            write!(html, "<tr><td><bdi>{}</bdi></td>", Html(&cut.what))?;
            write!(html, "<td class=\"in\"><bdi>{part}</bdi></td><td>{}</td></tr>", cut.guards)?;
        }
        return html.write_str("</tbody></table>");
    }
    html.write_str("<h2>What is held, the oldest first</h2>")?;
    if it.held.is_empty() {
        return html.write_str("<p class=\"none\">Nothing.</p>");
    }
    html.write_str("<table><thead><tr><th scope=\"col\">What</th><th scope=\"col\" class=\"in\">Part</th>")?;
    html.write_str("<th scope=\"col\" class=\"is\">State</th><th scope=\"col\">For</th></tr></thead><tbody>")?;
    let longest = it.held.iter().map(|it| it.seconds.0.as_secs_f64()).fold(0.001, f64::max);
    it.held.iter().try_for_each(|it| row(html, it, longest))?;
    html.write_str("</tbody></table>")?;
    if it.held_more > 0 {
        write!(html, "<p class=\"none\">and {} more</p>", it.held_more)?;
    }
    Ok(())
}

fn row(html: &mut String, row: &Row, longest: f64) -> fmt::Result {
    write!(html, "<tr><td>")?;
    // What it is busy with is what people look for; where it comes from is said below.
    match row.requests.split_first() {
        Some((first, others)) => {
            write!(html, "<bdi>{}</bdi>", Html(first))?;
            others.iter().try_for_each(|it| write!(html, ", <bdi>{}</bdi>", Html(it)))?;
            write!(html, "<small><bdi>{}</bdi></small>", Html(&row.what))?;
        }
        None => write!(html, "<bdi>{}</bdi>", Html(&row.what))?,
    }
    write!(
        html,
        "</td><td class=\"in\"><bdi>{}</bdi></td><td class=\"is\">",
        Html(row.part.as_deref().unwrap_or_default())
    )?;
    match (&row.state, row.kind) {
        (Some(state), _) => write!(html, "{}", Html(state))?,
        (None, Kind::Part) => html.write_str("at work")?,
        (None, _) if row.guards > 1 => write!(html, "× {}", row.guards)?,
        (None, _) => html.write_str("held")?,
    }
    write!(html, "</td><td>{}", row.seconds)?;
    let share = row.seconds.0.as_secs_f64() / longest;
    bar(html, share, "", if row.state.as_deref() == Some("idle") { "quiet" } else { "go" })?;
    html.write_str("</td></tr>")
}

/// A bar that is full to this share. Its width is no style, which the page's policy forbids.
fn bar(html: &mut String, share: f64, class: &str, color: &str) -> fmt::Result {
    write!(
        html,
        "<svg class=\"{class}\" viewBox=\"0 0 100 1\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
         <rect class=\"{color}\" width=\"{:.1}\" height=\"1\"></rect></svg>",
        share.clamp(0.0, 1.0) * 100.0
    )
}

fn commands(html: &mut String, around: &Around<'_>) -> fmt::Result {
    let url = format!("{}{}", around.url, around.base);
    let token = "-H \"Authorization: Bearer $TOKEN\" ";
    let look = [
        ("State, as JSON", format!("curl {url}/drain")),
        ("Readiness", format!("curl -i {url}/ready")),
        ("Metrics", format!("curl {url}/metrics")),
    ];
    let act = [
        ("Start the drain", format!("curl -X POST {token}{url}/drain")),
        ("Send no more work here", format!("curl -X POST {token}{url}/ready/off")),
        ("Send work here again", format!("curl -X POST {token}{url}/ready/on")),
    ];
    let act = if around.has_actions { &act[..] } else { &[] };
    html.write_str("<section aria-label=\"Commands\"><h2>Commands</h2><dl class=\"commands\">")?;
    for (what, command) in act.iter().chain(&look) {
        write!(html, "<div><dt>{what}</dt><dd><code>{}</code>", Html(command))?;
        write!(html, "<button type=\"button\" hidden aria-label=\"Copy: {what}\">Copy</button></dd></div>")?;
    }
    html.write_str("</dl></section>\n")
}

impl Seconds {
    fn of(seconds: f64) -> Self {
        Self(std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default())
    }
}

/// A time for people.
impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        match seconds {
            0..60 if self.0.subsec_nanos() == 0 => write!(f, "{seconds} s"),
            0..60 => write!(f, "{:.1} s", self.0.as_secs_f64()),
            60..3600 => write!(f, "{} min {:02} s", seconds / 60, seconds % 60),
            3600..86_400 => write!(f, "{} h {:02} min", seconds / 3600, seconds / 60 % 60),
            _ => write!(f, "{} d {:02} h", seconds / 86_400, seconds / 3600 % 24),
        }
    }
}

#[cfg(test)]
mod tests {
    use ebbtide::Drain;
    use http::Request;
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::Probe;

    fn page(probe: &Probe, host: &str) -> String {
        let request = Request::get("/").header("host", host).body(()).unwrap();
        let mut body = probe.answer(&request, None).into_body();
        let mut text = String::new();
        futures_lite::future::block_on(futures_lite::AsyncReadExt::read_to_string(&mut body, &mut text)).unwrap();
        text
    }

    #[test]
    fn the_policy_has_the_hashes_of_the_style_and_the_script() {
        for text in [STYLE, SCRIPT] {
            // The alphabet of base64 (RFC 4648, section 4).
            const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
            let mut hash = Sha256::digest(text).to_vec();
            hash.push(0);
            let digits = hash.chunks(3).flat_map(|it| {
                let bits = u32::from_be_bytes([0, it[0], it[1], it[2]]);
                [18, 12, 6, 0].map(|shift| char::from(DIGITS[(bits >> shift) as usize & 63]))
            });
            let hash: String = digits.take(43).chain(['=']).collect();
            assert!(POLICY.contains(&format!("'sha256-{hash}'")), "the policy lacks sha256-{hash}");
        }
    }

    #[test]
    fn nothing_that_others_have_named_leaves_its_place_in_the_page() {
        const EVIL: &str = "</bdi><script>alert('\"1\"')</script><img src=x onerror=alert(1)>";
        let drain = Drain::new();
        let held = drain.watcher().labelled(EVIL);
        let probe = Probe::new(&drain).named(EVIL).killed(EVIL).under(EVIL.replace('/', ""));
        let running = page(&probe, "localhost");
        drop(drain.start_because(EVIL));
        let draining = page(&probe, EVIL);
        drain.close();
        for page in [running, draining, page(&probe, "localhost")] {
            assert_eq!(page.matches("<script>").count(), 1, "its own: {page}");
            assert!(!page.contains("<img") && page.contains("&lt;script&gt;"), "{page}");
        }
        drop(held);
    }

    #[test]
    fn a_host_that_a_shell_would_run_is_in_no_command() {
        let probe = Probe::new(&Drain::new());
        assert!(page(&probe, "10.0.0.7:9090").contains("curl http://10.0.0.7:9090/metrics"));
        for host in ["$(reboot)", "a;b", "a b", "`x`", "a&b"] {
            assert!(page(&probe, host).contains("curl http://HOST:PORT/metrics"), "{host}");
        }
    }

    #[test]
    fn actions_are_shown_if_they_are_on() {
        let probe = Probe::new(&Drain::new()).under("/probe/");
        assert!(!page(&probe, "localhost").contains("-X POST"));
        let probe = probe.actions(crate::Token::new("0123456789abcdef").unwrap());
        let page = page(&probe, "localhost");
        assert_eq!(page.matches("http://localhost/probe/ready/o").count(), 2, "{page}");
        assert!(!page.contains("0123456789abcdef"), "the token is not for who looks");
    }

    #[test]
    fn times_are_for_people() {
        let texts = [0.0, 0.44, 59.0, 61.5, 3661.0, 90_000.0].map(|it| Seconds::of(it).to_string());
        assert_eq!(texts, ["0 s", "0.4 s", "59 s", "1 min 01 s", "1 h 01 min", "1 d 01 h"]);
    }
}
