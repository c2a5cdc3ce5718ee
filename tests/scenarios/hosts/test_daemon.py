"""Hosts that wait for work, joined by TCP and mutual TLS on the loopback; each a process of its own."""

from __future__ import annotations

import itertools
import math
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from emulator import S
from emulator.wire.certificates import create
from emulator.wire.frames import CONDUCTOR_CODEC, Failed, Job
from emulator.wire.handshake import PROTOCOL, Hello
from emulator.wire.peer import Peer
from scenarios.hosts.connecting import call
from scenarios.hosts.deploy import deploy
from scenarios.hosts.gather import Gather
from scenarios.hosts.hosts_file import HostsFile, read_hosts
from scenarios.load import InputError, read
from scenarios.replay import replay
from scenarios.report import Run, as_json
from scenarios.run import run_scenario
from scenarios.spec import RunSpec
from scenarios.version import version

_FOR_S = 0.2
_SEED = 5


def spec_of(for_s: float = _FOR_S, rate: float = float("inf")) -> RunSpec:
    label, text = read("chain")
    return RunSpec(
        label=label, text=text, settings=("links=4",), seed=_SEED, for_ns=round(for_s * 1e9), rate=rate, faults=()
    )


@dataclass
class Host:
    """A host's process, and the port at which it listens."""

    name: str
    process: subprocess.Popen[str]
    port: int

    def line(self, pattern: str) -> str:
        """Wait for a line that it prints."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if re.search(pattern, line):
                return line
        raise AssertionError(f"{self.name} ended without a word of {pattern!r}")


Start = Callable[..., Host]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the certificates of west, east and the conductor."""
    create(tmp_path / "certs", ["west", "east", "conductor"])
    return tmp_path


@pytest.fixture
def start() -> Iterator[Start]:
    """Return a function that starts a host; all of them are ended after the test."""
    started: list[subprocess.Popen[str]] = []

    def begin(name: str, *args: str) -> Host:
        command = [sys.executable, "-c", "from scenarios.cli import main; main()", "host", name, "--port", "0", *args]
        process = subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
        )
        started.append(process)
        host = Host(name, process, 0)
        host.port = int(host.line("listens at").rpartition(":")[2])
        return host

    yield begin
    for process in started:
        process.kill()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()


def hosts_file(folder: Path, hosts: list[Host], **keys: Any) -> tuple[HostsFile, str]:
    """Write the file of a deployment, and return it with its path."""
    settings = {"certificates": "certs"} | keys
    lines = [
        f"{key} = {str(value).lower() if isinstance(value, bool) else repr(value)}" for key, value in settings.items()
    ]
    for host in hosts:
        lines += ["[[host]]", f"name = '{host.name}'", f"address = '127.0.0.1:{host.port}'", "actors = 'auto'"]
    path = folder / "hosts.toml"
    path.write_text("\n".join(lines))
    return read_hosts(str(path)), str(path)


def alone() -> str:
    return run_scenario("chain", for_s=_FOR_S, seed=_SEED, settings=("links=4",)).world.network.history.sha256()


def sha256(run: Run) -> str:
    return run.world.network.history.sha256()


def test_two_hosts_joined_by_tls_write_the_history_of_one_process_one_run_after_the_other(
    folder: Path, start: Start
) -> None:
    hosts = [start(name, "--certificates", str(folder / "certs")) for name in ("west", "east")]
    file, path = hosts_file(folder, hosts)
    first, second = (deploy(spec_of(), file, file=path) for _ in range(2))
    assert sha256(first) == sha256(second) == alone()
    assert first.good


def test_hosts_without_certificates_are_for_the_loopback_and_must_be_asked_for(folder: Path, start: Start) -> None:
    hosts = [start(name, "--plain") for name in ("west", "east")]
    file, path = hosts_file(folder, hosts, certificates="", plain=True)
    assert sha256(deploy(spec_of(), file, file=path)) == alone()


def once_it_runs(host: Host, do: Callable[[], object]) -> threading.Thread:
    """Do something as soon as a host has begun to run its share."""

    def wait() -> None:
        host.line("runs its share")
        do()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


@pytest.fixture
def pair(folder: Path, start: Start) -> tuple[Host, Host]:
    """Return two hosts with certificates."""
    west, east = (start(name, "--certificates", str(folder / "certs")) for name in ("west", "east"))
    return west, east


def test_a_host_that_is_killed_ends_the_run_and_serves_again_once_it_is_back(
    folder: Path, start: Start, pair: tuple[Host, Host]
) -> None:
    west, east = pair
    file, path = hosts_file(folder, [west, east])
    killer = once_it_runs(east, east.process.kill)
    record = folder / "run.rec"
    run = deploy(spec_of(for_s=600.0, rate=1.0), file, file=path, record=record)
    killer.join()
    assert [violation.invariant for violation in run.trouble] == ["hosts"]
    assert "east" in run.trouble[0].text
    assert not run.good
    assert record.stat().st_size > 0
    west.line("the run is over: .*east")
    again, path = hosts_file(folder, [west, start("east", "--certificates", str(folder / "certs"))])
    assert sha256(deploy(spec_of(), again, file=path)) == alone()


def test_a_host_that_hangs_is_awaited_and_said_to_be_and_the_run_ends_at_the_limit(
    folder: Path, pair: tuple[Host, Host]
) -> None:
    west, east = pair
    file, path = hosts_file(folder, [west, east], limit_s=3.0)
    stopper = once_it_runs(east, lambda: os.kill(east.process.pid, signal.SIGSTOP))
    told: list[str] = []
    run = deploy(spec_of(for_s=600.0, rate=1.0), file, file=path, tell=told.append)
    stopper.join()
    assert "emulated time stands still: east is awaited" in told
    assert re.search(r"(nothing was heard of it|heard nothing of east) for 3 s|waited 3 s", run.trouble[0].text)


def test_a_host_that_comes_back_in_time_changes_nothing(folder: Path, pair: tuple[Host, Host]) -> None:
    west, east = pair
    file, path = hosts_file(folder, [west, east])
    stopper = once_it_runs(east, lambda: os.kill(east.process.pid, signal.SIGSTOP))
    told: list[str] = []

    def go_on(line: str) -> None:
        told.append(line)
        if "is awaited" in line:
            os.kill(east.process.pid, signal.SIGCONT)

    run = deploy(spec_of(), file, file=path, tell=go_on)
    stopper.join()
    assert told == ["emulated time stands still: east is awaited", "east is back"]
    assert sha256(run) == alone()


def test_ctrl_c_ends_the_span_at_one_instant_on_all_hosts_and_the_record_replays(
    folder: Path, pair: tuple[Host, Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    file, path = hosts_file(folder, list(pair))
    record, add, count = folder / "run.rec", Gather.add, itertools.count()

    def add_and_interrupt(gather: Gather, entry: Any) -> None:
        add(gather, entry)
        if next(count) == 100:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Gather, "add", add_and_interrupt)
    run = deploy(spec_of(for_s=600.0, rate=1.0), file, file=path, record=record)
    assert run.outcome.interrupted
    assert run.good
    assert run.outcome.emulated_ns < 600 * S
    assert replay(str(record)).difference is None


def test_ctrl_c_before_the_run_begins_ends_it_without_a_word_of_trouble(folder: Path, pair: tuple[Host, Host]) -> None:
    file, path = hosts_file(folder, list(pair))
    interrupter = once_it_runs(pair[0], lambda: os.kill(os.getpid(), signal.SIGINT))
    run = deploy(spec_of(for_s=0.5), file, file=path)
    interrupter.join()
    assert run.outcome.interrupted
    assert not run.trouble


def test_whoever_conducts_without_the_right_certificate_is_refused_and_the_host_goes_on(
    folder: Path, pair: tuple[Host, Host]
) -> None:
    west, east = pair
    create(folder / "others", ["west", "east", "conductor"])
    bad, path = hosts_file(folder, [west, east], certificates="others")
    with pytest.raises(InputError, match=r"host west at .*: the certificate of west is of another authority"):
        deploy(spec_of(), bad, file=path)
    bad, path = hosts_file(folder, [west, east], certificates="", plain=True)
    with pytest.raises(InputError, match=f"host west at 127.0.0.1:{west.port}: "):
        deploy(spec_of(), bad, file=path)
    east.port, west.port = west.port, east.port
    bad, path = hosts_file(folder, [west, east])
    with pytest.raises(InputError, match=r"host west at .*: the certificate at west is that of another host"):
        deploy(spec_of(), bad, file=path)
    east.port, west.port = west.port, east.port
    good, path = hosts_file(folder, [west, east])
    assert sha256(deploy(spec_of(), good, file=path)) == alone()


def test_hosts_of_another_version_are_refused_and_both_versions_named(
    folder: Path, pair: tuple[Host, Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    file, path = hosts_file(folder, list(pair))
    monkeypatch.setattr("scenarios.hosts.deploy.version", lambda: "0.0.1")
    told = rf"versions differ: conductor has 0\.0\.1 .*, (west|east) has {re.escape(version())} "
    with pytest.raises(InputError, match=told):
        deploy(spec_of(), file, file=path)


def test_an_address_where_nobody_is_is_named_before_anything_starts(folder: Path, pair: tuple[Host, Host]) -> None:
    west, east = pair
    east.process.kill()
    east.process.wait()
    file, path = hosts_file(folder, [west, east])
    with pytest.raises(InputError, match=f"host east at 127.0.0.1:{east.port}: cannot be reached"):
        deploy(spec_of(), file, file=path)
    west.line("no run")


def test_a_host_takes_work_from_one_conductor_only(folder: Path, start: Start) -> None:
    west = start("west", "--certificates", str(folder / "certs"), "--conductor", "east")
    file, path = hosts_file(folder, [west])
    with pytest.raises(InputError, match="west takes work from east only, not from conductor"):
        deploy(spec_of(), file, file=path)
    west.line("takes work from east only")


def test_whoever_would_conduct_meanwhile_hears_that_the_host_is_busy(folder: Path, start: Start) -> None:
    west = start("west", "--certificates", str(folder / "certs"))
    file, path = hosts_file(folder, [west])

    async def conduct() -> None:
        mine = Hello(PROTOCOL, version(), "conductor", "conductor")
        stream = await call(("127.0.0.1", west.port), mine, "west", folder / "certs")
        with pytest.raises(InputError, match="west is busy with another run"):
            await trio.to_thread.run_sync(lambda: deploy(spec_of(), file, file=path))
        await stream.aclose()

    trio.run(conduct)
    west.line("no run")
    assert sha256(deploy(spec_of(), file, file=path)) == alone()


def test_a_stranger_who_sends_anything_costs_nobody_anything(folder: Path, pair: tuple[Host, Host]) -> None:
    west, east = pair
    with socket.create_connection(("127.0.0.1", west.port)) as stranger:
        stranger.sendall(b"\x93\xff" * 1000)
        west.line("127.0.0.1 port .*: ")
    file, path = hosts_file(folder, [west, east])
    assert sha256(deploy(spec_of(), file, file=path)) == alone()


@pytest.mark.parametrize(
    ("spec", "limit_s", "told"),
    [
        (b"\xc1", 30.0, "MessagePack data is malformed"),
        (msgspec.msgpack.encode(spec_of()), math.nan, "limit_s = nan must be a number of seconds"),
        (msgspec.msgpack.encode(spec_of()), 30.0, "not every actor is placed"),
    ],
)
def test_a_job_that_cannot_be_done_is_refused_and_the_host_waits_for_the_next(
    folder: Path, start: Start, spec: bytes, limit_s: float, told: str
) -> None:
    west = start("west", "--certificates", str(folder / "certs"))

    async def conduct() -> str:
        mine = Hello(PROTOCOL, version(), "conductor", "conductor")
        stream = await call(("127.0.0.1", west.port), mine, "west", folder / "certs")
        peer = Peer("west", stream, CONDUCTOR_CODEC)
        await peer.say(Job(spec, [], {"west": ["chain-a"]}, limit_s, goes_on=False))
        answer = await peer.next()
        assert isinstance(answer, Failed)
        await peer.close()
        return answer.reason

    assert told in trio.run(conduct)
    west.line("no run: the job cannot be done")
    file, path = hosts_file(folder, [west])
    assert sha256(deploy(spec_of(), file, file=path)) == alone()


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("west",), "expected either --certificates FOLDER, or --plain"),
        (("west", "--certificates", "nowhere"), "nowhere/authority.crt: no such file"),
        (("west", "--plain", "--port", "70000"), "--port 70000: expected a number from 0 to 65535"),
        (("west", "--plain", "--address", "192.0.2.77"), "cannot listen at 192.0.2.77:7411: "),
    ],
)
def test_a_host_that_cannot_begin_says_why(qie: Any, args: tuple[str, ...], told: str) -> None:
    done = qie("host", *args)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr


# -- runs that go on without a host ------------------------------------------------------------------------------------


Plain = Callable[..., list[Host]]
Act = Callable[[], object]
After = Callable[[int, Act], None]


@pytest.fixture
def plain(start: Start) -> Plain:
    """Return what starts hosts of some names, without certificates."""
    return lambda *names: [start(name, "--plain") for name in names]


@pytest.fixture
def after_records(monkeypatch: pytest.MonkeyPatch) -> After:
    """Return what has something done, in the conductor, when so many records have come."""

    def plan(records: int, act: Act) -> None:
        add, count = Gather.add, itertools.count()

        def add_and_act(gather: Gather, entry: Any) -> None:
            add(gather, entry)
            if next(count) == records:
                act()

        monkeypatch.setattr(Gather, "add", add_and_act)

    return plan


def run_on(folder: Path, hosts: list[Host], told: list[str], **keys: Any) -> Run:
    """Run on hosts, which may be lost."""
    settings = {"certificates": "", "plain": True, "lost_host": "crash"} | keys
    record, for_s = settings.pop("record", None), settings.pop("for_s", 1.0)
    file, path = hosts_file(folder, hosts, **settings)
    return deploy(spec_of(for_s=for_s), file, file=path, record=record, tell=told.append)


def is_whole_without(run: Run, lost: list[str], left: list[str]) -> None:
    """Assert that a run came to its end without some hosts, and nothing is wrong with it."""
    data = as_json(run)
    assert not run.violations
    assert run.good
    assert run.outcome.emulated_ns == S
    assert sorted(data["lost_hosts"]) == lost
    assert [host["name"] for host in data["hosts"]] == left


@pytest.mark.parametrize("name", ["east", "west"])  # the first one is that whose word counts for what all say alike
def test_a_host_that_is_killed_is_lost_and_the_record_says_so_and_is_not_replayed(
    folder: Path, plain: Plain, after_records: After, name: str
) -> None:
    hosts = plain("east", "west")
    victim = next(host for host in hosts if host.name == name)
    after_records(300, victim.process.kill)
    told: list[str] = []
    run = run_on(folder, hosts, told, record=folder / "run.rec")
    is_whole_without(run, [name], [host.name for host in hosts if host is not victim])
    assert told[-1].startswith(f"{name} is lost (")
    assert told[-1].endswith("actors have crashed for good")
    with pytest.raises(InputError, match=rf"at 0\.\d+ s the run lost host {name} \(.*\), .*: no replay"):
        replay(str(folder / "run.rec"))


def test_a_host_that_is_killed_before_emulated_time_begins_is_lost_like_any(folder: Path, plain: Plain) -> None:
    hosts = plain("east", "north", "west")
    killer = once_it_runs(hosts[1], hosts[1].process.kill)
    run = run_on(folder, hosts, [])
    killer.join()
    is_whole_without(run, ["north"], ["east", "west"])


def test_two_of_three_may_be_lost_at_once(folder: Path, plain: Plain, after_records: After) -> None:
    hosts = plain("east", "north", "west")

    def kill() -> None:
        for host in hosts[:2]:
            host.process.kill()

    after_records(200, kill)
    is_whole_without(run_on(folder, hosts, []), ["east", "north"], ["west"])


def test_a_host_that_hangs_is_lost_and_once_it_wakes_it_ends_its_part_and_serves_the_next_run(
    folder: Path, plain: Plain, after_records: After
) -> None:
    hosts = plain("east", "west")
    west = hosts[1]
    after_records(200, lambda: os.kill(west.process.pid, signal.SIGSTOP))
    is_whole_without(run_on(folder, hosts, [], limit_s=1.0), ["west"], ["east"])
    os.kill(west.process.pid, signal.SIGCONT)
    assert "the run is over: given up: nothing was heard of it for 1 s" in west.line("over|Traceback")
    again = run_on(folder, hosts, [], for_s=0.2)
    assert sha256(again) == alone()


def test_ctrl_c_and_a_loss_at_once_end_the_span_at_one_instant_of_whoever_is_left(
    folder: Path, plain: Plain, after_records: After
) -> None:
    hosts = plain("east", "west")

    def interrupt_and_kill() -> None:
        signal.raise_signal(signal.SIGINT)
        hosts[0].process.kill()

    after_records(100, interrupt_and_kill)
    run = run_on(folder, hosts, [], for_s=600.0)
    assert run.outcome.interrupted
    assert run.good
    assert run.world.network.history.counts["input"] == 1


class Relay:
    """Stands before a host, and can cut the connections of other hosts to it, but not those of the conductor."""

    def __init__(self, listener: socket.socket, port: int) -> None:
        self._listener = listener
        self._port = port
        self._ends: list[socket.socket] = []
        self._between: list[socket.socket] = []  # those of other hosts
        self._passes = threading.Event()
        self._passes.set()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                caller, _ = self._listener.accept()
                host = socket.create_connection(("127.0.0.1", self._port))
                self._ends += caller, host
                first = caller.recv(1 << 16)
                host.sendall(first)
                is_between = b"conductor" not in first
                if is_between:
                    self._between += caller, host
                for way in ((caller, host), (host, caller)):
                    self._threads.append(threading.Thread(target=self._carry, args=(*way, is_between)))
                    self._threads[-1].start()

    def _carry(self, source: socket.socket, sink: socket.socket, is_between: bool) -> None:  # noqa: FBT001
        with suppress(OSError):
            while data := source.recv(1 << 16):
                if is_between:
                    self._passes.wait()
                sink.sendall(data)
        _shut(source, sink)

    def cut(self) -> None:
        """End the connections between hosts."""
        _shut(*self._between)

    def swallow(self) -> None:
        """Let nothing pass between hosts any more, without a word."""
        self._passes.clear()

    def end(self) -> None:
        """End everything."""
        self._passes.set()
        _shut(self._listener, *self._ends)
        for thread in self._threads:
            thread.join()
        for end in self._ends:
            end.close()


def _shut(*ends: socket.socket) -> None:
    for end in ends:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextmanager
def relayed(host: Host) -> Iterator[Relay]:
    """Have all that comes to a host go over a relay."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        relay, host.port = Relay(listener, host.port), listener.getsockname()[1]
        try:
            yield relay
        finally:
            relay.end()


@pytest.mark.parametrize("how", ["cut", "swallow"])
def test_of_two_hosts_that_cannot_reach_each_other_the_later_name_is_lost_and_ends_its_part(
    folder: Path, plain: Plain, after_records: After, how: str
) -> None:
    hosts = plain("east", "north", "west")
    west = hosts[2]
    with relayed(west) as relay:  # of two hosts the first one calls
        after_records(200, getattr(relay, how))
        run = run_on(folder, hosts[::2], [], limit_s=1.0 if how == "swallow" else 30.0)
        is_whole_without(run, ["west"], ["east"])
        assert "the run is over: given up: east cannot reach it: " in west.line("over|Traceback")
