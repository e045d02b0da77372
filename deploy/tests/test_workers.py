"""Checks that the files that run a worker agree with each other and with the worker."""

import re
import unittest

import repository

# The Redis keys by which KEDA counts: a scaler's trigger type, and its keys by the triggers' names.
KEYS = {
    "list": {
        "waiting": ("redis", "dalston:queue:parakeet"),
        "working": ("redis", "dalston:working:parakeet"),
    },
    "streams": {
        "waiting": ("redis-streams", "dalston:stream:parakeet"),
        "working": ("redis-streams", "dalston:stream:parakeet"),
    },
}


def worker(kind: str) -> tuple[dict, dict]:
    """Returns the Deployment and the budget of workers of a kind, cpu or gpu."""
    deployment, budget = repository.documents(f"deploy/kubernetes/worker-{kind}.yaml")
    return deployment, budget


def settings(deployment: dict) -> dict:
    """Returns the variables that a Deployment sets."""
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return {variable["name"]: variable.get("value") for variable in container["env"]}


class Kubernetes(unittest.TestCase):
    """The Deployments, their budgets and their scalers."""

    def test_a_worker_is_killed_only_after_its_grace_period_and_a_last_batch(self):
        for kind in ("cpu", "gpu"):
            deployment, _ = worker(kind)
            grace_s = deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
            self.assertGreater(grace_s, int(settings(deployment)["DALSTON_GRACE_S"]) + 30, kind)

    def test_a_worker_that_is_scaled_down_has_time_for_two_hours_of_audio_a_task(self):
        # Multiples of real time that the comments of both files name.
        for kind, speed in (("cpu", 4), ("gpu", 200)):
            deployment, _ = worker(kind)
            audio_s = self.tasks_at_once(kind) * 7200
            self.assertGreaterEqual(int(settings(deployment)["DALSTON_GRACE_S"]) * speed, audio_s)

    def test_the_budget_and_the_deployment_select_the_pods_they_make(self):
        for kind in ("cpu", "gpu"):
            deployment, budget = worker(kind)
            labels = deployment["spec"]["template"]["metadata"]["labels"].items()
            for document in (deployment, budget):
                self.assertLessEqual(document["spec"]["selector"]["matchLabels"].items(), labels)

    def test_whoever_counts_the_replicas_does_so_alone(self):
        for kind in ("cpu", "gpu"):
            self.assertNotIn("replicas", worker(kind)[0]["spec"])

    def test_only_the_gpu_and_what_follows_from_it_differ_between_the_kinds(self):
        """Removes from both files what may differ."""
        rest = []
        for kind, device, image in (
            ("cpu", "cpu", "parakeet-worker"),
            ("gpu", "cuda", "parakeet-worker:cuda"),
        ):
            deployment, budget = worker(kind)
            pod = deployment["spec"]["template"]["spec"]
            (container,) = pod["containers"]
            self.assertEqual(settings(deployment)["DALSTON_DEVICE"], device)
            self.assertEqual(container.pop("image"), image)
            self.assertEqual("nvidia.com/gpu" in container["resources"]["limits"], kind == "gpu")
            self.assertEqual(pod.pop("tolerations", None) is not None, kind == "gpu")
            container["resources"]["limits"].pop("nvidia.com/gpu", None)
            container["resources"]["requests"].pop("cpu")
            for variable in container["env"]:
                if variable["name"] in ("DALSTON_DEVICE", "DALSTON_GRACE_S"):
                    variable.pop("value")
            pod.pop("terminationGracePeriodSeconds")
            pod["volumes"][0]["emptyDir"].pop("sizeLimit")
            rest.append((deployment, budget))
        self.assertEqual(rest[0], rest[1])

    def test_probes_ask_for_pages_that_the_worker_has(self):
        pages = repository.text("crates/dalston-engine-sdk/src/health/pages.rs")
        (container,) = worker("gpu")[0]["spec"]["template"]["spec"]["containers"]
        for probe in ("livenessProbe", "readinessProbe"):
            path = container[probe]["httpGet"]["path"]
            self.assertIn(f'.route("{path}"', pages)

    def test_scalers_add_what_waits_and_what_is_at_work_in_the_queue_of_the_engine(self):
        for contract, kind, scaler, login in self.scalers():
            with self.subTest(contract=contract, kind=kind):
                target = scaler["spec"]["scaleTargetRef"]["name"]
                self.assertEqual(target, worker(kind)[0]["metadata"]["name"])
                modifiers = scaler["spec"]["advanced"]["scalingModifiers"]
                self.assertEqual(modifiers["formula"], "waiting + working")
                counted = {}
                for trigger in scaler["spec"]["triggers"]:
                    metadata = trigger["metadata"]
                    key = metadata.get("listName") or metadata.get("stream")
                    counted[trigger["name"]] = (trigger["type"], key)
                    reference = trigger["authenticationRef"]["name"]
                    self.assertEqual(reference, login["metadata"]["name"])
                self.assertEqual(counted, KEYS[contract])

    def test_the_keys_of_the_scalers_are_those_of_the_queue(self):
        for contract, module in (("list", "list/mod.rs"), ("streams", "streams/mod.rs")):
            source = repository.text(f"crates/dalston-engine-sdk/src/queue/{module}")
            for _, key in KEYS[contract].values():
                self.assertIn(f'"{key.replace("parakeet", "{engine_id}")}"', source)

    def test_a_scaler_counts_as_many_tasks_for_a_worker_as_it_takes_at_once(self):
        for contract, kind, scaler, _ in self.scalers():
            with self.subTest(contract=contract, kind=kind):
                modifiers = scaler["spec"]["advanced"]["scalingModifiers"]
                self.assertEqual(int(modifiers["target"]), self.tasks_at_once(kind))
                self.assertNotIn("DALSTON_BATCH_MAX_INFLIGHT", settings(worker(kind)[0]))

    def test_the_lag_of_a_stream_has_the_activation_that_keda_asks_for(self):
        for contract, _, scaler, _ in self.scalers():
            if contract == "streams":
                waiting, working = (it["metadata"] for it in scaler["spec"]["triggers"])
                self.assertLessEqual({"lagCount", "activationLagCount"}, waiting.keys())
                # KEDA counts the lag as soon as a trigger has `lagCount`.
                self.assertLessEqual({"pendingEntriesCount"}, working.keys())
                self.assertNotIn("lagCount", working)

    @staticmethod
    def tasks_at_once(kind: str) -> int:
        """Returns the tasks that a worker takes at once, as its source says."""
        if kind == "cpu":
            return 1
        source = repository.text("bins/parakeet-worker/src/worker/mod.rs")
        (n_tasks,) = re.findall(r"const IN_FLIGHT_ON_A_GPU: usize = (\d+);", source)
        return int(n_tasks)

    @staticmethod
    def scalers():
        """Yields contract, kind, scaler and login of every file."""
        for contract in KEYS:
            for kind in ("cpu", "gpu"):
                path = f"deploy/kubernetes/scaling-{contract}-{kind}.yaml"
                scaler, login = repository.documents(path)
                yield contract, kind, scaler, login


class Everywhere(unittest.TestCase):
    """The settings that image, compose and Kubernetes share."""

    def test_a_variable_that_a_file_sets_is_one_that_the_worker_reads(self):
        known = {name for row in repository.tables("docs/settings.md") for name in row[0].split()}
        for path in (
            "Dockerfile",
            "compose.yaml",
            "deploy/compose/gpu.yaml",
            "deploy/kubernetes/worker-cpu.yaml",
            "deploy/kubernetes/worker-gpu.yaml",
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

    def test_compose_kills_a_worker_only_after_the_default_grace_period_and_a_last_batch(self):
        (compose,) = repository.documents("compose.yaml")
        worker = compose["services"]["stt-batch-transcribe-parakeet"]
        self.assertNotIn("DALSTON_GRACE_S", worker["environment"])
        rows = {row[0]: row for row in repository.tables("docs/settings.md")}
        default_s = int(rows["DALSTON_GRACE_S"][2])
        self.assertGreater(int(worker["stop_grace_period"].removesuffix("s")), default_s + 30)

    def test_compose_starts_the_worker_after_redis_and_the_store_answer(self):
        (compose,) = repository.documents("compose.yaml")
        worker = compose["services"]["stt-batch-transcribe-parakeet"]
        for service in ("redis", "store"):
            self.assertIn("healthcheck", compose["services"][service])
            self.assertEqual(worker["depends_on"][service], {"condition": "service_healthy"})


if __name__ == "__main__":
    unittest.main()
