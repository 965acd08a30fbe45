"""The files of a deployment: real flags, messages that parse, schemas kept, one set of numbers.

No Docker engine and no cluster runs here. What can be known without them is held: by hadolint and
kubernetes-validate in `make lint`, by compose-spec and by what the files must agree on here.
"""

from __future__ import annotations

import dataclasses
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import compose_spec
import kubernetes_validate
import pytest
import yaml
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from tunesmith.serving import EngineOptions, ServerOptions, load_engine
from tunesmith.serving.batching_parameters import BatchingParameters, read_parameters

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "serving" / "config"
KUBERNETES = ROOT / "kubernetes"
# Neither is a resource that a cluster has a schema of.
NO_SCHEMA = {"kustomization.yaml", "prometheus-adapter.yaml"}
# The oldest whose kubelet knows the sleep before a stop, and the newest that has a schema here.
CLUSTERS = ["1.30", kubernetes_validate.latest_version()]


@cache
def flag_kinds() -> dict[str, str]:
    """The type of each flag of TensorFlow Serving, by name."""
    lines = (Path(__file__).parent / "tensorflow_serving_flags.txt").read_text().splitlines()
    return dict(line.split(" ") for line in lines if not line.startswith("#"))


def check_flags(flags: list[str]) -> dict[str, str]:
    """Return the values of `flags` by name; each is a real one and of its kind.

    TensorFlow Serving prints an unknown argument and serves on without it.
    """
    found: dict[str, str] = {}
    forms = {"bool": "true|false", "int": r"\d+", "float": r"\d+(\.\d+)?", "string": ".+"}
    for flag in flags:
        match = re.fullmatch(r"--(\w+)=(.*)", flag)
        assert match, flag
        name, value = match.groups()
        assert re.fullmatch(forms[flag_kinds()[name]], value), flag
        assert name not in found, f"{name} twice"
        found[name] = value
    return found


def channel_arguments(flags: dict[str, str]) -> dict[str, int]:
    """The settings of grpc_channel_arguments; main.cc splits it at commas, then at equals signs."""
    pairs = (each.split("=") for each in flags["grpc_channel_arguments"].split(","))
    return {key: int(value) for key, value in pairs}


@cache
def dockerfile() -> tuple[dict[str, str], dict[str, Any]]:
    """Defaults of build arguments, and the last of each instruction of Dockerfile.serving."""
    text = (ROOT / "Dockerfile.serving").read_text()
    text = re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    arguments: dict[str, str] = {}
    last: dict[str, Any] = {}
    for line in text.splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "ARG" and "=" in rest:
            name, _, default = rest.partition("=")
            arguments[name] = default
        elif word:
            last[word] = json.loads(rest) if rest.startswith("[") else rest
    return arguments, last


def image_flags() -> dict[str, str]:
    """The flags of the image's entry point, in exec form."""
    program, *flags = dockerfile()[1]["ENTRYPOINT"]
    assert program == "/usr/bin/tensorflow_model_server"
    return check_flags(flags)


def compose() -> dict[str, Any]:
    """docker-compose.yml, its variables at their defaults."""
    text = (ROOT / "docker-compose.yml").read_text()
    return yaml.safe_load(re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text))


def resource(name: str) -> Any:
    """The one resource of a file in kubernetes/."""
    return yaml.safe_load((KUBERNETES / name).read_text())


@pytest.mark.parametrize(
    "options",
    [
        EngineOptions(),
        EngineOptions(batching=False, tensor_content=True, metrics_port=8501, port=None),
        EngineOptions(
            socket=Path("/run/s"),
            ssl_config_file=Path("/etc/ssl.config"),
            batching_parameters_file=Path("/etc/batching.config"),
        ),
        EngineOptions(
            model_config_file=CONFIG / "models.config", model_config_poll_seconds=1, poll_seconds=60
        ),
    ],
)
def test_engines_use_real_flags(options: EngineOptions) -> None:
    check_flags(load_engine("tensorflow-serving").command(Path("/models"), options)[1:])
    words = load_engine("docker").command(Path("/models"), options)
    check_flags(words[words.index(options.image) + 1 :])


def test_the_image_batches_measures_warms_up_and_tells_its_health() -> None:
    flags = image_flags()
    assert flags["port"] == "8500"
    assert flags["rest_api_port"] == "8501"
    for name in ("enable_batching", "enable_model_warmup", "enable_grpc_healthcheck_service"):
        assert flags[name] == "true"
    # Every file that is named is copied there.
    for name, value in flags.items():
        if flag_kinds()[name] == "string" and name.endswith("_file"):
            assert (CONFIG / Path(value).name).is_file()
            assert value.startswith("/etc/tunesmith/")
    # As many requests at once as the embedded server takes.
    assert flags["grpc_max_threads"] == str(ServerOptions().max_requests)


def test_the_image_is_of_the_minor_version_of_tensorflow_that_exports() -> None:
    arguments, last = dockerfile()
    constraints = (ROOT / "constraints.txt").read_text()
    exported_with = re.search(r"^tensorflow==(\d+\.\d+)\.", constraints, re.MULTILINE)
    assert exported_with
    assert arguments["TF_SERVING_VERSION"].startswith(exported_with.group(1) + ".")
    assert arguments["VARIANT"] == "-gpu"
    assert (
        "FROM tensorflow/serving:${TF_SERVING_VERSION}${VARIANT} AS serving"
        in (ROOT / "Dockerfile.serving").read_text().splitlines()
    )
    # By number, for runAsNonRoot cannot tell of a name.
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", last["USER"])


def test_model_configs_parse_with_the_real_message() -> None:
    from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

    config = text_format.Parse((CONFIG / "models.config").read_text(), ModelServerConfig())
    (model,) = config.model_config_list.config
    assert (model.name, model.base_path) == ("tunesmith", "/models/tunesmith")
    assert model.model_platform == "tensorflow"
    assert dockerfile()[1]["ENV"].split()[0] == f"MODEL_NAME={model.name}"


def test_batching_parameters_are_those_of_the_embedded_server() -> None:
    own = BatchingParameters()
    assert read_parameters(CONFIG / "batching.config") == own
    # On a GPU, fewer at a time.
    on_a_gpu = dataclasses.replace(own, num_batch_threads=2)
    assert read_parameters(CONFIG / "batching-gpu.config") == on_a_gpu
    # The image has the one of its variant: "-gpu" or none.
    assert (
        "COPY --chmod=444 serving/config/batching${VARIANT}.config /etc/tunesmith/batching.config"
        in (ROOT / "Dockerfile.serving").read_text().splitlines()
    )


def test_the_monitoring_config_parses_and_switches_prometheus_on() -> None:
    # Not in the pip package. The fields of tensorflow_serving/config/monitoring_config.proto.
    file = descriptor_pb2.FileDescriptorProto(
        name="monitoring_config.proto",
        package="monitoring",
        syntax="proto3",
        message_type=[
            {
                "name": "PrometheusConfig",
                "field": [
                    {"name": "enable", "number": 1, "type": "TYPE_BOOL"},
                    {"name": "path", "number": 2, "type": "TYPE_STRING"},
                ],
            },
            {
                "name": "MonitoringConfig",
                "field": [
                    {
                        "name": "prometheus_config",
                        "number": 1,
                        "type": "TYPE_MESSAGE",
                        "type_name": ".monitoring.PrometheusConfig",
                    }
                ],
            },
        ],
    )
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    message = message_factory.GetMessageClass(
        pool.FindMessageTypeByName("monitoring.MonitoringConfig")
    )
    config: Any = text_format.Parse((CONFIG / "monitoring.config").read_text(), message())
    assert config.prometheus_config.enable
    # Where the pods say that Prometheus finds them.
    assert not config.prometheus_config.path
    annotations = resource("deployment.yaml")["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/path"] == "/monitoring/prometheus/metrics"
    assert annotations["prometheus.io/port"] == image_flags()["rest_api_port"]


def test_compose_keeps_its_specification() -> None:
    # Merge keys are YAML's affair: the library reads what they come to.
    parsed = compose_spec.PyCompose.from_yaml(yaml.safe_dump(compose()))
    assert set(parsed.service_names()) == {"serving", "serving-cpu"}


@pytest.mark.parametrize("name", ["serving", "serving-cpu"])
def test_a_composed_server_is_shut_in(name: str) -> None:
    service = compose()["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["user"] == dockerfile()[1]["USER"]
    assert service["init"] is True
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert all(volume["read_only"] for volume in service["volumes"])
    assert service["healthcheck"]["test"] == ["CMD", "tunesmith-healthy"]
    check_flags(service.get("command", []))


def test_a_gpu_is_reserved_unless_the_cpu_is_named() -> None:
    services = compose()["services"]
    (device,) = services["serving"]["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}
    assert "profiles" not in services["serving"]
    assert services["serving-cpu"]["profiles"] == ["cpu"]
    assert "deploy" not in services["serving-cpu"]
    assert services["serving-cpu"]["build"]["args"] == {"VARIANT": ""}


@pytest.mark.parametrize("version", CLUSTERS)
def test_every_resource_keeps_its_schema(version: str) -> None:
    names = {path.name for path in KUBERNETES.glob("*.yaml")} - NO_SCHEMA
    assert len(names) == 6
    for name in sorted(names):
        kubernetes_validate.validate(resource(name), version, strict=True)
    broken = resource("deployment.yaml")
    broken["spec"]["template"]["spec"]["containers"][0]["livenessprobe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, version, strict=True)


def test_the_kustomization_names_what_there_is() -> None:
    kustomization = resource("kustomization.yaml")
    names = {path.name for path in KUBERNETES.glob("*.yaml")}
    assert set(kustomization["resources"]) == names - NO_SCHEMA
    (image,) = kustomization["images"]
    assert image["name"] == container()["image"]


def container() -> Any:
    (only,) = resource("deployment.yaml")["spec"]["template"]["spec"]["containers"]
    return only


def test_selectors_find_the_pods_and_names_each_other() -> None:
    template = resource("deployment.yaml")["spec"]["template"]
    labels = template["metadata"]["labels"]
    assert resource("deployment.yaml")["spec"]["selector"]["matchLabels"] == labels
    assert resource("service.yaml")["spec"]["selector"] == labels
    assert resource("disruption-budget.yaml")["spec"]["selector"]["matchLabels"] == labels
    assert resource("network-policy.yaml")["spec"]["podSelector"]["matchLabels"] == labels
    (spread,) = template["spec"]["topologySpreadConstraints"]
    assert spread["labelSelector"]["matchLabels"] == labels
    target = resource("autoscaler.yaml")["spec"]["scaleTargetRef"]
    assert target["name"] == resource("deployment.yaml")["metadata"]["name"]
    claim = template["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"]
    assert claim == resource("models.yaml")["metadata"]["name"]


def test_ports_are_the_images() -> None:
    ports = {port["name"]: port["containerPort"] for port in container()["ports"]}
    flags = image_flags()
    assert ports == {"grpc": int(flags["port"]), "http": int(flags["rest_api_port"])}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container()[probe]["grpc"] == {"port": ports["grpc"]}
    service = resource("service.yaml")["spec"]
    # Each server's own address, for clients to be spread over.
    assert service["clusterIP"] == "None"
    assert {port["targetPort"] for port in service["ports"]} == set(ports)
    allowed = [
        rule["ports"][0]["port"] for rule in resource("network-policy.yaml")["spec"]["ingress"]
    ]
    assert allowed == ["grpc", "http"]


def test_a_pod_is_shut_in() -> None:
    pod = resource("deployment.yaml")["spec"]["template"]["spec"]
    user = int(dockerfile()[1]["USER"].split(":")[0])
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": user,
        "runAsGroup": user,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container()["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is False
    policy = resource("network-policy.yaml")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["egress"] == []


def test_clients_have_left_a_server_before_it_is_stopped() -> None:
    pod = resource("deployment.yaml")["spec"]["template"]["spec"]
    own = channel_arguments(check_flags(container()["args"]))
    sleep = container()["lifecycle"]["preStop"]["sleep"]["seconds"]
    # gRPC adds or takes up to a tenth of a connection's age (gRPC proposal A9).
    age = 1.1 * own["grpc.max_connection_age_ms"] / 1000
    grace = own["grpc.max_connection_age_grace_ms"] / 1000
    names_in_dns = 30
    assert names_in_dns + age + grace <= sleep < pod["terminationGracePeriodSeconds"]
    # SIGTERM reaches a program without a handler only if another is the first process.
    assert pod["shareProcessNamespace"] is True


def test_servers_grow_by_a_metric_that_is_served() -> None:
    (metric,) = resource("autoscaler.yaml")["spec"]["metrics"]
    (rule,) = resource("prometheus-adapter.yaml")["rules"]["custom"]
    assert metric["pods"]["metric"]["name"] == rule["name"]["as"]
    # servables/tensorflow/util.cc: a counter of requests by model and status.
    assert '__name__=":tensorflow:serving:request_count"' in rule["seriesQuery"]
