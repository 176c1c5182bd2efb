#!/usr/bin/env python3
"""Checks the files of examples/deploy: each by the model of those who read it, and that the times in them agree.

    python3 deploy.py        # of a virtual environment with what tests/deploy.sh installs

Then it does the same with mistakes planted into the files, each of which must be found.
"""
import importlib
import json
import re
import sys
import xml.etree.ElementTree as xml
from pathlib import Path

import botocore.session
import botocore.validate
import kubernetes_validate
import yaml
from envoy_data_plane.envoy.config.bootstrap.v3 import Bootstrap

ROOT = Path(__file__).resolve().parent.parent
FILES = ROOT / "examples/deploy"
KUBERNETES = "1.37"
# What AWS takes at most for a container to stop.
ECS_MOST = 120


def seconds(text):
    """A time of any of these files, in seconds."""
    number, unit = re.fullmatch(r"(\d+)\s*(ms|s|sec|m|h)?", str(text)).groups()
    return int(number) * {"ms": 0.001, "m": 60, "h": 3600}.get(unit, 1)


def only(pattern, text):
    """The one thing that a pattern finds, or that all it finds agree on."""
    found = set(re.findall(pattern, text))
    if len(found) != 1:
        raise ValueError(f"`{pattern}` is there {len(found)} times")
    return found.pop()


def flags(text):
    """Lame duck time and deadline, of the server's command line."""
    return seconds(only(r"--ready-delay-ms=(\d+)", text) + "ms"), seconds(only(r"--drain-timeout-ms=(\d+)", text) + "ms")


def kubernetes(text):
    for manifest in yaml.safe_load_all(text):
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


def ecs(operation, service="ecs"):
    """Checks the input of an operation of AWS by its own model of it, in which an unknown field is an error, too."""
    def check(text):
        shape = botocore.session.get_session().get_service_model(service).operation_model(operation).input_shape
        report = botocore.validate.ParamValidator().validate(json.loads(text), shape)
        if report.has_errors():
            raise ValueError(report.generate_report())

    return check


def envoy(text):
    """Checks a configuration by Envoy's own types, and what it has in an `Any` by the type that it names."""
    def without_any(value):
        if isinstance(value, list):
            return [without_any(it) for it in value]
        if not isinstance(value, dict):
            return value
        plain = {}
        for key, it in value.items():
            if isinstance(it, dict) and "@type" in it:
                of_type(without_any({k: v for k, v in it.items() if k != "@type"}), it["@type"])
            elif key == "typed_extension_protocol_options":
                without_any(it)
            else:
                plain[key] = without_any(it)
        return plain

    def of_type(value, name):
        package, _, message = name.rpartition("/")[2].rpartition(".")
        getattr(importlib.import_module(f"envoy_data_plane.{package}"), message).from_dict(value)

    Bootstrap.from_dict(without_any(yaml.safe_load(text)))


# By whose model each file is checked here. tests/deploy.sh has the others checked by programs.
MODELS = {
    "kubernetes.yaml": kubernetes,
    "ecs-task-definition.json": ecs("RegisterTaskDefinition"),
    "ecs-target-group.json": ecs("CreateTargetGroup", "elbv2"),
    "ecs-target-group-attributes.json": ecs("ModifyTargetGroupAttributes", "elbv2"),
    "envoy.yaml": envoy,
    "windows-service.xml": xml.fromstring,
}
NAMES = [
    *MODELS, "haproxy.cfg", "nginx.conf", "server.service", "server.socket", "Dockerfile", "compose.yaml", "docs/deploy.md", "bounds.rs"
]


def read():
    places = {"docs/deploy.md": ROOT / "docs/deploy.md", "bounds.rs": ROOT / "adapters/connection/src/bounds.rs"}
    return {name: places.get(name, FILES / name).read_text() for name in NAMES}


def row(page, name):
    """A time of the page's worked example."""
    return seconds(only(rf"(?m)^\| {name} \| (\d+ s) \|", page))


def wrong(files):
    """What is wrong with the files, in a line each."""
    found = []

    def expect(holds, what):
        if not holds:
            found.append(what)

    for name, check in MODELS.items():
        try:
            check(files[name])
        except Exception as error:  # whatever a model raises
            found.append(f"{name}: {error}")
    try:
        times(files, expect)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        found.append(f"a time cannot be found: {error!r}")
    return found


def times(files, expect):
    page = files["docs/deploy.md"]
    lame_duck, deadline = row(page, "lame duck time"), row(page, "deadline"),
    margin, grace = row(page, "margin"), row(page, "grace period")
    idle, kept = row(page, "idle, at the server"), row(page, "idle, at the balancer")
    slowest = row(page, "until the balancer has noticed")

    # The same service everywhere.
    for name in ["kubernetes.yaml", "ecs-task-definition.json", "server.service", "Dockerfile", "windows-service.xml"]:
        expect(flags(files[name]) == (lame_duck, deadline), f"{name}: lame duck time and deadline are {flags(files[name])}")

    # Lame duck time + deadline + margin <= grace period.
    expect(lame_duck + deadline + margin <= grace, f"{lame_duck} s + {deadline} s + {margin} s is more than {grace} s")
    deployment, _ = yaml.safe_load_all(files["kubernetes.yaml"])
    pod = deployment["spec"]["template"]["spec"]
    [server], [sidecar] = pod["containers"], pod["initContainers"]
    task = json.loads(files["ecs-task-definition.json"])["containerDefinitions"][0]
    graces = {
        "kubernetes.yaml": pod["terminationGracePeriodSeconds"],
        "ecs-task-definition.json": task["stopTimeout"],
        "server.service": seconds(only(r"(?m)^TimeoutStopSec=(.*)$", files["server.service"])),
        "compose.yaml": seconds(yaml.safe_load(files["compose.yaml"])["services"]["a"]["stop_grace_period"]),
        "windows-service.xml": seconds(xml.fromstring(files["windows-service.xml"]).find("stoptimeout").text),
    }
    for name, its in graces.items():
        expect(its == grace, f"{name}: the grace period is {its} s")
    expect(task["stopTimeout"] <= ECS_MOST, f"ecs-task-definition.json: AWS takes {ECS_MOST} s at most")
    expect("preStop" not in server.get("lifecycle", {}), "kubernetes.yaml: a preStop hook is added to the lame duck time")
    expect(sidecar["restartPolicy"] == "Always", "kubernetes.yaml: the sidecar is none, so the server waits for its end")

    # Lame duck time >= propagation: all checks that must fail, and the last one without an answer.
    probe, liveness = server["readinessProbe"], server["livenessProbe"]
    haproxy = files["haproxy.cfg"]
    inter, fall = re.search(r"inter (\w+) fall (\d+)", haproxy).groups()
    cluster = yaml.safe_load(files["envoy.yaml"])["static_resources"]["clusters"][0]
    [check] = cluster["health_checks"]
    noticed = {
        "kubernetes.yaml": probe["periodSeconds"] * probe["failureThreshold"] + probe["timeoutSeconds"],
        "haproxy.cfg": seconds(inter) * int(fall) + seconds(only(r"timeout check (\w+)", haproxy)),
        "envoy.yaml": seconds(check["interval"]) * check["unhealthy_threshold"] + seconds(check["timeout"]),
    }
    for name, its in noticed.items():
        expect(its == slowest, f"{name}: it is noticed after {its} s")
    expect(slowest <= lame_duck, f"the balancer needs {slowest} s, and has {lame_duck} s")
    expect(check["no_traffic_interval"] == check["interval"], "envoy.yaml: without requests it asks less often")
    expect(not cluster["close_connections_on_host_health_failure"], "envoy.yaml: it cuts what is in flight")
    expect((probe["httpGet"]["path"], liveness["httpGet"]["path"]) == ("/ready", "/live"), "kubernetes.yaml: other probes")
    delays = {it["Key"]: it["Value"] for it in json.loads(files["ecs-target-group-attributes.json"])["Attributes"]}
    delay = seconds(delays["deregistration_delay.timeout_seconds"])
    expect(delay == deadline, f"ecs-target-group-attributes.json: requests have {delay} s, and the server gives them {deadline} s")

    # Idle at the balancer < idle at the server.
    options = cluster["typed_extension_protocol_options"]["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"]
    idles = {
        "envoy.yaml": seconds(options["common_http_protocol_options"]["idle_timeout"]),
        "nginx.conf": seconds(only(r"keepalive_timeout (\w+);", files["nginx.conf"])),
    }
    for name, its in idles.items():
        expect(its == kept, f"{name}: connections may be idle for {its} s")
    expect(kept < idle, f"the balancer's connections may be idle for {kept} s, the server's for {idle} s")
    default = seconds(only(r"\[`keep_alive`\]\(Self::keep_alive\) \| (\d+ s)", files["bounds.rs"]))
    expect(default == idle, f"the server's connections may be idle for {default} s, says bounds.rs")


# One mistake each, as somebody could make it: a field that does not exist, or a time that does not fit the others.
MISTAKES = [
    ("kubernetes.yaml", "terminationGracePeriodSeconds: 30", "terminationGracePeriodSecond: 30"),
    ("kubernetes.yaml", "terminationGracePeriodSeconds: 30", "terminationGracePeriodSeconds: 20"),
    ("kubernetes.yaml", "--ready-delay-ms=5000", "--ready-delay-ms=2000"),
    ("kubernetes.yaml", "failureThreshold: 2", "failureThreshold: 6"),
    ("kubernetes.yaml", "restartPolicy: Always", "restartPolicies: Always"),
    ("ecs-task-definition.json", '"stopTimeout": 30', '"stopTimeOut": 30'),
    ("ecs-task-definition.json", '"stopTimeout": 30', '"stopTimeout": 10'),
    ("ecs-target-group.json", "HealthCheckPath", "HealthcheckPath"),
    ("ecs-target-group-attributes.json", '"20"', '"5"'),
    ("envoy.yaml", "no_traffic_interval: 1s", "no_trafic_interval: 1s"),
    ("envoy.yaml", "no_traffic_interval: 1s", "no_traffic_interval: 60s"),
    ("envoy.yaml", "stat_prefix: clients", "stats_prefix: clients"),
    ("envoy.yaml", "{idle_timeout: 60s}\n          explicit", "{idle_timeout: 90s}\n          explicit"),
    ("windows-service.xml", "<stoptimeout>30 sec", "<stoptimeout>15 sec"),
    ("server.service", "TimeoutStopSec=30", "TimeoutStopSec=25"),
    ("server.service", "--drain-timeout-ms=20000", "--drain-timeout-ms=30000"),
    ("Dockerfile", "--ready-delay-ms=5000", "--ready-delay-ms=0"),
    ("compose.yaml", "stop_grace_period: 30s", "stop_grace_period: 10s"),
    ("haproxy.cfg", "fall 2", "fall 5"),
    ("nginx.conf", "keepalive_timeout 60s", "keepalive_timeout 75s"),
    ("docs/deploy.md", "| grace period | 30 s |", "| grace period | 29 s |"),
    ("bounds.rs", "| 75 s", "| 60 s"),
]


def main():
    files = read()
    found = wrong(files)
    for what in found:
        print(f"deploy: {what}", file=sys.stderr)
    missed = 0
    for name, right, mistake in MISTAKES:
        if right not in files[name]:
            print(f"deploy: there is no `{right}` in {name} any more", file=sys.stderr)
            missed += 1
        elif not wrong({**files, name: files[name].replace(right, mistake, 1)}):
            print(f"deploy: `{mistake}` in {name} is not noticed", file=sys.stderr)
            missed += 1
    if not found and not missed:
        print(f"deploy: {len(MODELS)} files fit their models, the times of {len(NAMES)} agree, {len(MISTAKES)} planted mistakes found")
    return 1 if found or missed else 0


if __name__ == "__main__":
    sys.exit(main())
