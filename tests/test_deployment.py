"""`docs/more-than-one-machine.md` and `docs/kubernetes.yaml` hold what they promise."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from kubernetes_validate.utils import latest_version, validate

from .support.layers import module
from .support.services import Service

pytestmark = pytest.mark.slow

GUIDE = "docs/more-than-one-machine.md"
# The lifecycle hook `sleep` came with 1.29.
KUBERNETES = ("1.29", latest_version())
RESERVED_CONNECTIONS = 3
PROJECTS = ("async-postgresql-fastapi", "sync-postgresql-fastapi")


@pytest.fixture(params=PROJECTS)
def project(request: pytest.FixtureRequest, rendered: Mapping[str, Path]) -> Path:
    return rendered[request.param]


def resources(project: Path) -> dict[str, Any]:
    """Return the resources by their kind."""
    text = (project / "docs/kubernetes.yaml").read_text()
    return {resource["kind"]: resource for resource in yaml.safe_load_all(text)}


@pytest.mark.parametrize("version", KUBERNETES)
def test_the_resources_are_valid(project: Path, version: str) -> None:
    found = resources(project)
    assert found.keys() == {"Deployment", "Service", "PodDisruptionBudget"}
    for resource in found.values():
        validate(resource, version, strict=True)


def test_the_resources_belong_together(project: Path) -> None:
    found = resources(project)
    pod = found["Deployment"]["spec"]["template"]
    labels = pod["metadata"]["labels"]
    assert found["Deployment"]["spec"]["selector"]["matchLabels"] == labels
    assert found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert found["Service"]["spec"]["selector"] == labels
    [serve] = pod["spec"]["containers"]
    assert [port["name"] for port in serve["ports"]] == ["http"]
    assert {port["targetPort"] for port in found["Service"]["spec"]["ports"]} == {"http"}
    budget = found["PodDisruptionBudget"]["spec"]["minAvailable"]
    assert budget < found["Deployment"]["spec"]["replicas"]


def test_the_pods_fit_the_image(project: Path) -> None:
    spec = resources(project)["Deployment"]["spec"]["template"]["spec"]
    dockerfile = (project / "Dockerfile").read_text()
    user = f"{spec['securityContext']['runAsUser']}:{spec['securityContext']['runAsGroup']}"
    assert f"USER {user}\n" in dockerfile
    [serve], [migrate] = spec["containers"], spec["initContainers"]
    assert serve["image"] == migrate["image"]
    assert f"ENV PORT={serve['ports'][0]['containerPort']}\n" in dockerfile


@pytest.mark.parametrize("label", ["asyncpg", "psycopg"])
def test_the_probes_and_the_commands_exist(label: str, rendered: Mapping[str, Path]) -> None:
    service = Service(label, rendered)
    project = service.source.parent
    spec = resources(project)["Deployment"]["spec"]["template"]["spec"]
    [serve], [migrate] = spec["containers"], spec["initContainers"]
    app = service.module("web.app").create_app(service.settings("postgresql://u@127.0.0.1:1/x"))
    paths = set(app.openapi()["paths"])
    probes = {name: serve[name]["httpGet"]["path"] for name in serve if name.endswith("Probe")}
    assert set(probes.values()) <= paths
    # A failover may not restart pods.
    assert probes["livenessProbe"] == probes["startupProbe"] == "/livez"
    assert probes["readinessProbe"] == "/readyz"
    main = service.module("cli").main
    for container in (serve, migrate):
        command = main
        *names, last = [word for word in container["args"] if not re.match(r"--|\d", word)]
        for name in (*names, last):
            _, command, _ = command.resolve_command(click.Context(command), [name])


@pytest.mark.parametrize("variant", ["async-postgresql", "sync-postgresql"])
def test_the_urls_of_the_guide_are_accepted(variant: str, rendered: Mapping[str, Path]) -> None:
    guide = (rendered[variant] / GUIDE).read_text()
    urls = re.findall(r"`(postgresql://\S+)`", guide)
    assert len(urls) > 6
    engine = module(rendered, variant, "engine")
    for url in urls:
        assert engine.make_engine(url).url.password == "password"  # noqa: S105


@pytest.mark.parametrize("variant", ["async-postgresql", "sync-postgresql"])
def test_the_pools_of_the_guide_fit_and_no_process_more(
    variant: str, rendered: Mapping[str, Path]
) -> None:
    guide = (rendered[variant] / GUIDE).read_text()
    rows = re.findall(r"^\| (\d+) \| (\d+) \| (\d+)\D*$", guide, re.MULTILINE)
    assert len(rows) == 4
    for row in rows:
        limit, processes, size = map(int, row)
        assert processes == (limit - RESERVED_CONNECTIONS) // (2 * size)


@pytest.mark.parametrize("variant", ["async-sqlite-fastapi", "sync-sqlite"])
def test_projects_on_sqlite_have_no_guide(variant: str, rendered: Mapping[str, Path]) -> None:
    assert not list((rendered[variant]).glob("docs/*machine*"))
    assert not list((rendered[variant]).glob("docs/kubernetes*"))
