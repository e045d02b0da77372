"""Checks that the files that run a worker agree with each other and with the worker."""

import re
import unittest

import repository

# A scaler's trigger type, and the Redis key of the worker's queue (crates/dalston-engine-sdk).
QUEUES = {"redis": "dalston:queue:parakeet", "redis-streams": "dalston:stream:parakeet"}


class Kubernetes(unittest.TestCase):
    """The Deployment, its budget and its scalers."""

    def setUp(self):
        """Reads the Deployment."""
        self.deployment, self.budget = repository.documents("deploy/kubernetes/worker.yaml")
        self.pod = self.deployment["spec"]["template"]
        (self.container,) = self.pod["spec"]["containers"]

    def test_a_worker_is_killed_only_after_its_grace_period_and_a_last_batch(self):
        settings = {variable["name"]: variable.get("value") for variable in self.container["env"]}
        grace_s = self.pod["spec"]["terminationGracePeriodSeconds"]
        self.assertGreater(grace_s, int(settings["DALSTON_GRACE_S"]) + 30)

    def test_the_budget_and_the_deployment_select_the_pods_they_make(self):
        labels = self.pod["metadata"]["labels"].items()
        for document in (self.deployment, self.budget):
            self.assertLessEqual(document["spec"]["selector"]["matchLabels"].items(), labels)

    def test_whoever_counts_the_replicas_does_so_alone(self):
        self.assertNotIn("replicas", self.deployment["spec"])

    def test_probes_ask_for_pages_that_the_worker_has(self):
        pages = repository.text("crates/dalston-engine-sdk/src/health/pages.rs")
        for probe in ("livenessProbe", "readinessProbe"):
            path = self.container[probe]["httpGet"]["path"]
            self.assertIn(f'.route("{path}"', pages)

    def test_scalers_watch_the_queue_of_the_engine_and_scale_the_deployment(self):
        for contract in ("list", "streams"):
            scaler, login = repository.documents(f"deploy/kubernetes/scaling-{contract}.yaml")
            target = scaler["spec"]["scaleTargetRef"]["name"]
            self.assertEqual(target, self.deployment["metadata"]["name"])
            for trigger in scaler["spec"]["triggers"]:
                metadata = trigger["metadata"]
                name = metadata.get("listName") or metadata.get("stream")
                self.assertEqual(name, QUEUES[trigger["type"]])
                reference = trigger["authenticationRef"]["name"]
                self.assertEqual(reference, login["metadata"]["name"])


class Everywhere(unittest.TestCase):
    """The settings that image, compose and Kubernetes share."""

    def test_a_variable_that_a_file_sets_is_one_that_the_worker_reads(self):
        known = {name for row in repository.tables("docs/settings.md") for name in row[0].split()}
        for path in (
            "Dockerfile",
            "compose.yaml",
            "deploy/compose/gpu.yaml",
            "deploy/kubernetes/worker.yaml",
        ):
            used = set(re.findall(r"\bDALSTON_[A-Z0-9_]+\b", repository.text(path)))
            self.assertTrue(used, path)
            self.assertLessEqual(used, known, path)

    def test_the_image_is_built_with_the_packages_and_the_rust_of_a_checkout(self):
        dockerfile = repository.text("Dockerfile")
        for path in ("xtask/src/setup.rs", "xtask/src/hub.rs"):
            (packages,) = re.findall(r"packages: &\[(.*?)\]", repository.text(path), re.DOTALL)
            for package in re.findall(r'"([^"]+)"', packages):
                self.assertIn(f'"{package}"', dockerfile)
        (rust,) = re.findall(r'channel = "(.*)"', repository.text("rust-toolchain.toml"))
        self.assertIn(f"ARG RUST_VERSION={rust}\n", dockerfile)
        (oldest,) = re.findall(r'rust-version = "(.*)"', repository.text("Cargo.toml"))
        self.assertTrue(rust.startswith(f"{oldest}."), "the compiler is the oldest that is promised")

    def test_every_member_of_the_workspace_comes_into_the_build(self):
        (members,) = re.findall(r"^members = \[(.*)\]", repository.text("Cargo.toml"), re.MULTILINE)
        for member in members.replace('"', "").replace("/*", "").split(", "):
            self.assertIn(f"COPY {member} {member}\n", repository.text("Dockerfile"))
            self.assertIn(f"!{member}\n", repository.text(".dockerignore"))

    def test_the_image_says_the_version_of_the_workspace(self):
        (version,) = re.findall(r'^version = "(.*)"', repository.text("Cargo.toml"), re.MULTILINE)
        self.assertIn(f"ARG VERSION={version}\n", repository.text("Dockerfile"))

    def test_compose_gives_a_worker_the_time_that_kubernetes_gives(self):
        (compose,) = repository.documents("compose.yaml")
        worker = compose["services"]["stt-batch-transcribe-parakeet"]
        deployment, _ = repository.documents("deploy/kubernetes/worker.yaml")
        grace_s = deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
        self.assertEqual(worker["stop_grace_period"], f"{grace_s}s")

    def test_compose_starts_the_worker_after_redis_and_the_store_answer(self):
        (compose,) = repository.documents("compose.yaml")
        worker = compose["services"]["stt-batch-transcribe-parakeet"]
        for service in ("redis", "store"):
            self.assertIn("healthcheck", compose["services"][service])
            self.assertEqual(worker["depends_on"][service], {"condition": "service_healthy"})


if __name__ == "__main__":
    unittest.main()
