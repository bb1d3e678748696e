#!/usr/bin/env python3
"""Whatever the manifests for Kubernetes and the stack for Swarm refer to exists: rendered by kubectl, no server asked.

Ends with 77, skipped, if kubectl or PyYAML is missing.
"""
import copy
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KUBERNETES = ROOT / "docker/kubernetes"
NOBODY = 65532
ROLES = {"broker", "worker"}
DRAIN = 30

for needed, is_there in (("kubectl", shutil.which("kubectl")), ("PyYAML", __import__("importlib.util").util.find_spec("yaml"))):
    if not is_there:
        print(f"skipped: {needed} is not installed; script/bootstrap --for manifests installs it")
        sys.exit(77)

import yaml  # noqa: E402


def render(name):
    """The documents of a kustomization, with keys that look like real ones."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "kubernetes"
        shutil.copytree(KUBERNETES, tree, ignore=shutil.ignore_patterns("keys"))
        for role in ("dispatcher", "worker"):
            keys = tree / "base/keys" / role
            keys.mkdir(parents=True)
            (keys / "key").write_text(f"ventile-key 1\nrole {role}\n")
            (keys / "peers").write_text("ventile-peers 1\n")
        done = subprocess.run(["kubectl", "kustomize", str(tree / name)], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise AssertionError(done.stderr)
        return [document for document in yaml.safe_load_all(done.stdout) if document]


class Manifests:
    def __init__(self, documents):
        self.documents = documents

    def of(self, *kinds):
        return [document for document in self.documents if document["kind"] in kinds]

    def workloads(self):
        return self.of("Deployment", "StatefulSet")

    def wrong(self):
        """All that refers to nothing, or is not as it must be, as lines of text."""
        return [line for check in (self.wrong_selectors, self.wrong_secrets, self.wrong_ports, self.wrong_probes,
                                   self.wrong_volumes, self.wrong_rights, self.wrong_addresses, self.wrong_scaling)
                for line in check()]

    def wrong_selectors(self):
        pods = [workload["spec"]["template"]["metadata"]["labels"] for workload in self.workloads()]

        def selects(selector):
            return sum(selector.items() <= labels.items() for labels in pods)
        for workload in self.workloads():
            selector = workload["spec"]["selector"]["matchLabels"]
            if not selector.items() <= workload["spec"]["template"]["metadata"]["labels"].items():
                yield f"{workload['metadata']['name']} does not select its own pods"
        for service in self.of("Service"):
            if selects(service["spec"]["selector"]) != 1:
                yield f"service {service['metadata']['name']} selects not one workload"
        for budget in self.of("PodDisruptionBudget"):
            if selects(budget["spec"]["selector"]["matchLabels"]) != 1:
                yield f"budget {budget['metadata']['name']} selects not one workload"
        for policy in self.of("NetworkPolicy"):
            if selects(policy["spec"]["podSelector"]["matchLabels"]) != 1:
                yield f"policy {policy['metadata']['name']} selects not one workload"

    def wrong_secrets(self):
        secrets = {secret["metadata"]["name"]: secret for secret in self.of("Secret")}
        for workload in self.workloads():
            name = workload["metadata"]["name"]
            for volume in workload["spec"]["template"]["spec"]["volumes"]:
                if "secret" not in volume:
                    continue
                secret = secrets.get(volume["secret"]["secretName"])
                if secret is None:
                    yield f"{name} wants secret {volume['secret']['secretName']}, which is not there"
                elif set(secret["data"]) != {"key", "peers"}:
                    yield f"{name}'s secret has {sorted(secret['data'])}"

    def wrong_ports(self):
        names = {port["name"] for workload in self.workloads() for container in containers_of(workload)
                 for port in container.get("ports", [])}
        for service in self.of("Service"):
            for port in service["spec"]["ports"]:
                if port["targetPort"] not in names:
                    yield f"service {service['metadata']['name']} leads to port {port['targetPort']}, which nobody has"
        for policy in self.of("NetworkPolicy"):
            for rule in policy["spec"].get("ingress", []):
                for port in rule["ports"]:
                    if port["port"] not in names:
                        yield f"policy {policy['metadata']['name']} opens port {port['port']}, which nobody has"

    def wrong_probes(self):
        for workload in self.workloads():
            for container in containers_of(workload):
                if container["image"] != "ventile":
                    yield from self.wrong_foreign_probes(container)
                    continue
                for probe in ("readinessProbe", "livenessProbe"):
                    command = container.get(probe, {}).get("exec", {}).get("command", [])
                    if command[:2] != ["ventile", "health"]:
                        yield f"{container['name']}: {probe} is {command}"
                if container["args"][0] not in ROLES:
                    yield f"{container['name']} has no role: {container['args']}"
            if workload["spec"]["template"]["spec"].get("terminationGracePeriodSeconds", 0) <= DRAIN:
                yield f"{workload['metadata']['name']} is killed before it has drained"

    def wrong_foreign_probes(self, container):
        ports = {port["name"] for port in container["ports"]}
        for probe in ("readinessProbe", "livenessProbe"):
            port = container.get(probe, {}).get("httpGet", {}).get("port")
            if port not in ports:
                yield f"{container['name']}: {probe} asks port {port}, which it has not"

    def wrong_volumes(self):
        for workload in self.workloads():
            pod = workload["spec"]["template"]["spec"]
            there = {volume["name"] for volume in pod["volumes"]}
            there |= {claim["metadata"]["name"] for claim in workload["spec"].get("volumeClaimTemplates", [])}
            for container in containers_of(workload):
                mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
                for name in mounts.keys() - there:
                    yield f"{container['name']} mounts {name}, which is not there"
                variables = {variable["name"]: variable["value"] for variable in container.get("env", [])}
                for name in ("VENTILE_KEYS", "VENTILE_PULSE", "VENTILE_METRICS"):
                    if name in variables and not any(variables[name].startswith(path) for path in mounts.values()):
                        yield f"{container['name']}: {name} is {variables[name]}, where nothing is mounted"

    def wrong_rights(self):
        for workload in self.workloads():
            pod = workload["spec"]["template"]["spec"]
            if pod["securityContext"].get("runAsUser") != NOBODY or not pod["securityContext"].get("runAsNonRoot"):
                yield f"{workload['metadata']['name']} does not run as {NOBODY}"
            for container in containers_of(workload):
                rights = container.get("securityContext", {})
                if rights.get("allowPrivilegeEscalation") is not False or not rights.get("readOnlyRootFilesystem") \
                        or rights.get("capabilities", {}).get("drop") != ["ALL"]:
                    yield f"{container['name']} has more rights than it needs"
                if not {"cpu", "memory"} <= container["resources"]["limits"].keys():
                    yield f"{container['name']} has no limits"

    def wrong_addresses(self):
        services = {service["metadata"]["name"]: [port["port"] for port in service["spec"]["ports"]]
                    for service in self.of("Service")}
        for workload in self.workloads():
            for container in containers_of(workload):
                for variable in container.get("env", []):
                    if variable["name"] != "VENTILE_CONNECT":
                        continue
                    host, port = variable["value"].removeprefix("tcp://").split(":")
                    if int(port) not in services.get(host, []):
                        yield f"{container['name']} connects to {variable['value']}, where no service is"

    def wrong_scaling(self):
        names = {(workload["kind"], workload["metadata"]["name"]) for workload in self.workloads()}
        for scaler in self.of("HorizontalPodAutoscaler"):
            target = scaler["spec"]["scaleTargetRef"]
            if (target["kind"], target["name"]) not in names:
                yield f"{scaler['metadata']['name']} scales {target['name']}, which is not there"


def containers_of(workload):
    return workload["spec"]["template"]["spec"]["containers"]


class ManifestsTest(unittest.TestCase):
    def test_what_the_base_refers_to_exists(self):
        manifests = Manifests(render("base"))
        self.assertEqual(list(manifests.wrong()), [])
        self.assertEqual({len(manifests.of(kind)) for kind in ("StatefulSet", "Deployment")}, {1})

    def test_what_the_autoscaled_refers_to_exists(self):
        manifests = Manifests(render("autoscale"))
        self.assertEqual(list(manifests.wrong()), [])
        self.assertEqual(len(manifests.of("HorizontalPodAutoscaler")), 1)

    def test_the_autoscaled_broker_writes_its_figures_where_the_exporter_reads_them(self):
        broker, exporter = containers_of(Manifests(render("autoscale")).of("StatefulSet")[0])
        figures = Path({variable["name"]: variable["value"] for variable in broker["env"]}["VENTILE_METRICS"])
        self.assertEqual(figures.suffix, ".prom", "the exporter reads no others")
        self.assertIn(f"--collector.textfile.directory={figures.parent}", exporter["args"])
        shared = [{mount["name"] for mount in container["volumeMounts"] if mount["mountPath"] == str(figures.parent)}
                  for container in (broker, exporter)]
        self.assertEqual(*shared)
        self.assertTrue(shared[0])

    def test_everything_is_in_one_namespace(self):
        documents = render("base")
        self.assertEqual({document["metadata"].get("namespace", document["metadata"]["name"]) for document in documents},
                         {"ventile"})

    def test_a_mistake_is_found(self):
        """Each of these breaks one reference, and is named."""
        def pod(manifests, kind):
            return manifests.of(kind)[0]["spec"]["template"]["spec"]
        mistakes = {
            "selects": lambda m: m.of("Service")[0]["spec"]["selector"].update({"app.kubernetes.io/component": "x"}),
            "secret": lambda m: pod(m, "Deployment")["volumes"][0]["secret"].update(secretName="x"),
            "leads to port": lambda m: m.of("Service")[0]["spec"]["ports"][0].update(targetPort="x"),
            "Probe": lambda m: pod(m, "Deployment")["containers"][0].pop("livenessProbe"),
            "drained": lambda m: pod(m, "Deployment").update(terminationGracePeriodSeconds=30),
            "mounts": lambda m: pod(m, "StatefulSet")["volumes"].pop(0),
            "nothing is mounted": lambda m: pod(m, "Deployment")["containers"][0]["volumeMounts"].pop(0),
            "which it has not": lambda m: pod(m, "StatefulSet")["containers"][1]["ports"][0].update(name="x"),
            "run as": lambda m: pod(m, "Deployment")["securityContext"].update(runAsUser=0),
            "rights": lambda m: pod(m, "Deployment")["containers"][0]["securityContext"].pop("capabilities"),
            "no limits": lambda m: pod(m, "Deployment")["containers"][0]["resources"]["limits"].pop("cpu"),
            "connects": lambda m: m.of("Service")[0]["metadata"].update(name="x"),
            "scales": lambda m: m.of("HorizontalPodAutoscaler")[0]["spec"]["scaleTargetRef"].update(name="x"),
        }
        rendered = render("autoscale")
        for name, mistake in mistakes.items():
            manifests = Manifests(copy.deepcopy(rendered))
            mistake(manifests)
            self.assertTrue(any(name in line for line in manifests.wrong()), name)


class SwarmTest(unittest.TestCase):
    def test_what_the_stack_refers_to_exists(self):
        stack = yaml.safe_load((ROOT / "docker/swarm/stack.yaml").read_text())
        self.assertEqual(stack["version"], "3.8")
        for name, service in stack["services"].items():
            for secret in service["secrets"]:
                self.assertIn(secret["source"], stack["secrets"], name)
                self.assertEqual((secret["uid"], secret["mode"]), (str(NOBODY), 0o400), name)
            self.assertIn(service["command"][0], ROLES)
            self.assertGreater(int(service["stop_grace_period"].removesuffix("s")), DRAIN)
        host = stack["services"]["worker"]["environment"]["VENTILE_CONNECT"].removeprefix("tcp://").split(":")[0]
        self.assertIn(host, stack["services"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
