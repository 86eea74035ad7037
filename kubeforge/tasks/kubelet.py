"""The kubelet of every node: its files, its way into the cluster, its unit.

A worker asks for its certificate with a bootstrap token, so its key never leaves it. A control plane's kubelet gets a
certificate made beforehand: it must run before there is an API that could sign anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from kubeforge.cluster.access import api_of
from kubeforge.cluster.conditions import Condition, await_condition
from kubeforge.cluster.evidence import component_log
from kubeforge.cluster.rights import may
from kubeforge.documents import revealed
from kubeforge.engine.model import Action, ActionContext, Context
from kubeforge.errors import ConnectionFailed, UnfitHost
from kubeforge.inventory.model import CONTROL_PLANE, WORKERS, Host, Inventory
from kubeforge.manifests import kubelet as files
from kubeforge.manifests.control_plane import CONTROLLER_MANAGER
from kubeforge.operations.absent import Absent
from kubeforge.operations.directory import Directory
from kubeforge.operations.file import File
from kubeforge.operations.kept_file import KeptFile
from kubeforge.operations.model import Change, Entry, Operation, Queries, Verb
from kubeforge.operations.symlink import Symlink
from kubeforge.operations.unit import Unit
from kubeforge.pki import kubeconfigs
from kubeforge.pki.certificates import KEY_MODE, PUBLIC_MODE, Identity
from kubeforge.pki.tokens import BOOTSTRAP_GROUP, BootstrapToken, new_token, token_secret
from kubeforge.pki.verify import fingerprint
from kubeforge.secret import Secret
from kubeforge.spec.addresses import inner_endpoint, local_api
from kubeforge.spec.paths import (
    API_DEADLINE,
    BIN,
    BOOTSTRAP_KUBELET_CONF,
    KUBELET,
    KUBELET_CLIENT_CURRENT,
    KUBELET_CONF,
    KUBELET_CONFIG,
    KUBELET_DROP_IN,
    KUBELET_FLAGS,
    KUBELET_INSTANCE_CONFIG,
    KUBELET_PKI,
    KUBELET_UNIT,
    KUBERNETES,
    MANIFESTS,
    PKI,
)
from kubeforge.tasks import living, moving
from kubeforge.tasks.drop_ins import foreign_drop_ins
from kubeforge.tasks.drop_ins import reads as drop_in_reads
from kubeforge.tasks.kubelet_rolled import KubeletRolled
from kubeforge.tasks.last_good import Kept
from kubeforge.tasks.parts import kept_program
from kubeforge.tasks.parts import program as tool
from kubeforge.tasks.registry import task
from kubeforge.tasks.trust import now, trust_of
from kubeforge.tasks.trust import reads as trust_reads

__all__ = ["TokenPresent", "configure", "join", "lead", "leave_bootstrap", "resume", "roll", "run", "token_of"]

_FIRST_CLIENT: Final = f"{KUBELET_PKI}/kubelet-client-first.pem"
_CA: Final = f"{PKI}/ca.crt"
_UNIT: Final = "kubelet.service"
_REQUESTS: Final = "certificatesigningrequests.certificates.k8s.io"
_KEPT: Final = (KUBELET_CONFIG, KUBELET_INSTANCE_CONFIG, KUBELET_FLAGS)
_ADDRESS: Final = "address"  # title of the change that says that it is another one
_PROGRAM: Final = f"{BIN}/kubelet"
_TOOLS: Final = ("kubeadm", "kubectl")
_READ: Final = (KUBELET_CONFIG, KUBELET_FLAGS, KUBELET_UNIT, KUBELET_DROP_IN, BOOTSTRAP_KUBELET_CONF)


def _reads(inventory: Inventory, host: Host) -> Queries:
    """Read what leads a worker to the API: by then it names its key by path. A control plane's is never read."""
    reads = () if CONTROL_PLANE in host.groups else (KUBELET_CONF,)
    own = Queries(stats=(KUBELET_CONF, KUBELET_CLIENT_CURRENT, *_KEPT), reads=reads)
    return Queries.merge((trust_reads(inventory, host), living.reads(inventory, host), own, drop_in_reads(_UNIT)))


@task("kubelet.configure", reads=_reads)
def configure(context: Context) -> Iterator[Operation]:
    """Everything the kubelet of a new node reads; of one that lives, what is missing. Nothing is started."""
    if not _is_node(context):
        return
    if living.node_lives(context):
        here = context.seen[context.host.name].paths
        yield from (file for file in _files(context) if not isinstance(here.get(file.path), Entry))
    else:
        yield from _configured(context)
        if not _is_control_plane(context):
            yield from _moved(context)


@task("kubelet.run", reads=_reads)
def run(context: Context) -> Iterator[Operation]:
    """The kubelet of a control plane runs, now and at boot; that of a new one is restarted when its files changed."""
    if _is_control_plane(context) and moving.moved(context) is None:
        yield Unit(name=_UNIT) if living.node_lives(context) else _unit(context)


@task("kubelet.resume", reads=_reads)
def resume(context: Context) -> Iterator[Operation]:
    """The kubelet of a control plane that has moved runs again, now that all manifests say the new address."""
    if _is_control_plane(context) and moving.moved(context) is not None:
        yield _unit(context, _ADDRESS)


@task("kubelet.join", reads=_reads)
def join(context: Context) -> Iterator[Operation | Action]:
    """A worker's kubelet runs; where it has no certificate yet, a bootstrap token lets it ask for one."""
    if _is_control_plane(context) or not _is_node(context):
        return
    if living.node_lives(context):
        yield Unit(name=_UNIT)
    elif _must_ask(context):
        yield TokenPresent(token=token_of(context))
        yield _unit(context)
    else:
        yield _unit(context, _ADDRESS, *(operation.title for operation in _moved(context)))


@task("kubelet.roll", reads=_reads)
def roll(context: Context) -> Iterator[Operation | Action]:
    """The kubelet of a node that lives has its files and runs; with other files it must come back, or has the old."""
    if _is_node(context) and living.node_lives(context):
        port = int(files.cluster_configuration(context.cluster)["healthzPort"])
        operations = list(_configured(context))
        # The kubelet itself writes this file when it joins, so its age says nothing: only a change of ours restarts it.
        moved = list(_moved(context))
        program = kept_program(context, "kubelet", _PROGRAM, living.aside(living.KUBELET, _PROGRAM))
        unit = _unit(context, *(operation.title for operation in moved))
        yield from (*operations, *moved, program, unit)
        kept: tuple[Kept, ...] = (*(one for one in operations if isinstance(one, KeptFile)), program)
        unproved = living.is_unproved(context, living.KUBELET)
        yield KubeletRolled(files=kept, unit=unit, health_port=port, unproved=unproved)
        # What a person uses on the host follows, once its kubelet is seen to serve.
        yield from (tool(context, name, f"{BIN}/{name}") for name in _TOOLS)


@task("kubelet.lead", reads=_reads)
def lead(context: Context) -> Iterator[Operation]:
    """The kubelet of a worker that lives is led to where the API is now; nothing else of it changes."""
    if _is_node(context) and not _is_control_plane(context) and living.node_lives(context):
        moved = list(_moved(context))
        yield from moved
        if moved:
            yield Unit(name=_UNIT, listens=tuple(operation.title for operation in moved))


@task("kubelet.leave_bootstrap")
def leave_bootstrap(context: Context) -> Iterator[Operation]:
    """The way in is closed behind a worker: no token stays on it."""
    if not _is_control_plane(context) and _is_node(context):
        yield Absent(path=BOOTSTRAP_KUBELET_CONF, keep=False)


def _configured(context: Context) -> Iterator[Operation]:
    """Everything a kubelet reads."""
    for path, mode in ((KUBERNETES, 0o755), (PKI, 0o755), (MANIFESTS, 0o700), (KUBELET, 0o755), (KUBELET_PKI, 0o700)):
        yield Directory(path=path, mode=mode)
    yield from _files(context)
    yield from foreign_drop_ins(context, _UNIT, own=(KUBELET_DROP_IN,))
    yield from _as_control_plane(context) if _is_control_plane(context) else _as_worker(context)


def _files(context: Context) -> Iterator[File]:
    """What makes it start differently: of one that lives, set aside until it is seen to serve with what is new."""
    spec, facts = context.cluster, context.mine
    texts = {
        KUBELET_CONFIG: files.config_yaml(spec, context.host, facts),
        KUBELET_INSTANCE_CONFIG: files.instance_config_yaml(spec, context.host, facts),
        KUBELET_FLAGS: files.flags_env(spec, context.inventory, context.host, facts),
    }
    lives = living.node_lives(context)
    for path, text in texts.items():
        aside = living.aside(living.KUBELET, path)
        yield (
            KeptFile(path=path, content=text.encode(), aside=aside) if lives else File(path=path, content=text.encode())
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPresent(Action):
    """The Secret of a bootstrap token, one for all workers of a run, in a cluster that signs certificates.

    A kubelet starts everything at once: while it waits for its certificate, its other requests are refused, and it
    tries those again only after ever longer pauses. So it is started when it need not wait.

    Args:
        token: as the workers have it.
    """

    token: BootstrapToken

    @property
    def title(self) -> str:
        """Names its task: the token differs from run to run."""
        return "kubelet.join"

    def plan(self, run: ActionContext) -> Sequence[Change]:  # noqa: ARG002 - nothing needs to be asked
        """The worker has no certificate, so it is always due."""
        return [Change(title=self.title, verb=Verb.CREATE, why="a bootstrap token, valid for 24 hours")]

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Create it; the first worker does, the others wait for that."""
        run.context.vault.once("kubelet.token.created", lambda: self._create(run))
        return [Change(title=self.title, verb=Verb.CREATE, why="a bootstrap token, valid for 24 hours")]

    def _create(self, run: ActionContext) -> bool:
        context = run.context
        secret = token_secret(self.token, now=now(context), description="kubeforge: for the workers of one run")

        def lacks() -> str | None:
            api = api_of(run)
            if not may(api, user, "create", _REQUESTS, groups=(BOOTSTRAP_GROUP, "system:bootstrappers")):
                return f"{user} may not ask for certificates yet"
            lease = api.get("coordination.k8s.io/v1", "Lease", CONTROLLER_MANAGER, "kube-system")
            if lease is None or not lease["spec"].get("holderIdentity"):
                return "no controller manager leads yet, so nobody would sign"
            api.apply(revealed(secret))
            return None

        user = f"system:bootstrap:{self.token.id}"
        condition = Condition(
            name="the cluster signs certificates",
            lacks=lacks,
            deadline=API_DEADLINE,
            evidence=lambda: _controllers_words(run),
        )
        await_condition(condition, run, step=self.title)
        return True


def _controllers_words(run: ActionContext) -> list[str]:
    """Return the last words of the controller managers; whichever leads may be on any control plane."""
    told = []
    for host in run.context.inventory.control_planes:
        with suppress(ConnectionFailed):
            told += [f"{host.name}: {line}" for line in component_log(run.remote_of(host.name), CONTROLLER_MANAGER)]
    return told


def _unit(context: Context, *also: str) -> Unit:
    gone = [one.title for one in foreign_drop_ins(context, _UNIT, own=(KUBELET_DROP_IN,))]
    return Unit(name=_UNIT, listens=(f"artifact {_PROGRAM}", *(f"file {path}" for path in _READ), *also, *gone))


def token_of(context: Context) -> BootstrapToken:
    """Return the run's bootstrap token."""
    return context.vault.once("kubelet.token", new_token)


def _as_worker(context: Context) -> Iterator[Operation]:
    """The cluster's authority, and where the kubelet has no certificate yet, how to ask for one."""
    ca = trust_of(context).certificate("ca")
    here = context.seen[context.host.name]
    known = here.contents.get(_CA)
    if known is not None and known.split() != ca.split():
        raise UnfitHost(
            f"its {_CA} is another cluster's",
            host=context.host.name,
            step="kubelet.configure",
            evidence=[f"here: SHA-256 {fingerprint(known)}", f"this cluster's: SHA-256 {fingerprint(ca)}"],
            remedy=f"kubeforge reset --limit {context.host.name}, or take it out of the inventory",
        )
    yield File(path=_CA, content=ca, mode=PUBLIC_MODE)
    if _must_ask(context):
        content = kubeconfigs.bootstrap(
            cluster=context.cluster.name, server=_server(context), ca=ca, token=token_of(context).text
        )
        yield File(path=BOOTSTRAP_KUBELET_CONF, content=content, mode=KEY_MODE)


def _moved(context: Context) -> Iterator[File]:
    """Lead a worker that has joined to where the API is now, or to the cluster's authority as it is now."""
    known = context.seen[context.host.name].contents.get(KUBELET_CONF)
    if known is None or _must_ask(context):
        return
    ca = trust_of(context).certificate("ca")
    if not kubeconfigs.leads_to(known, server=_server(context), ca=ca):
        content = kubeconfigs.kubelet(
            cluster=context.cluster.name, server=_server(context), ca=ca, node=context.host.name
        )
        yield File(path=KUBELET_CONF, content=content, mode=KEY_MODE)


def _as_control_plane(context: Context) -> Iterator[Operation]:
    """A certificate made beforehand, and the kubeconfig that names it; once there, the kubelet itself renews it."""
    trust = trust_of(context)
    content = kubeconfigs.kubelet(
        cluster=context.cluster.name,
        server=_server(context),
        ca=trust.certificate("ca"),
        node=context.host.name,
    )
    yield File(path=KUBELET_CONF, content=content, mode=KEY_MODE)
    if not isinstance(context.seen[context.host.name].paths.get(KUBELET_CLIENT_CURRENT), Entry):
        identity = Identity.of(context.cluster, context.inventory, context.host)
        wanted = {KUBELET_CLIENT_CURRENT: (kubeconfigs.kubelet_client(identity), "ca")}
        signed = context.vault.once((context.host.name, KUBELET_CLIENT_CURRENT), lambda: trust.sign(wanted))
        issued = signed[KUBELET_CLIENT_CURRENT]
        yield File(path=_FIRST_CLIENT, content=Secret(issued.certificate + issued.key.reveal()), mode=KEY_MODE)
        yield Symlink(path=KUBELET_CLIENT_CURRENT, target=_FIRST_CLIENT)


def _must_ask(context: Context) -> bool:
    return not isinstance(context.seen[context.host.name].paths.get(KUBELET_CLIENT_CURRENT), Entry)


def _server(context: Context) -> str:
    """Return where this host's kubelet finds the API: on a control plane its own, elsewhere the cluster's endpoint."""
    if _is_control_plane(context):
        return local_api(context.host)
    return inner_endpoint(context.cluster, context.inventory)


def _is_control_plane(context: Context) -> bool:
    return CONTROL_PLANE in context.host.groups


def _is_node(context: Context) -> bool:
    return bool(context.host.groups & {CONTROL_PLANE, WORKERS})
