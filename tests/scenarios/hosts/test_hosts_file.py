"""The file of hosts: what is right is read, and what is wrong is said once, with its place and its cure."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from emulator import Network
from scenarios.hosts.gather import Elsewhere
from scenarios.hosts.hosts_file import DEFAULT_PORT, HostEntry, HostsFile, placed, read_hosts
from scenarios.load import InputError
from scenarios.run import prepare_text, read

GOOD = """
certificates = "certs"

[[host]]
name = "west"
address = "192.0.2.1:7411"
actors = ["berlin*", "schaepe"]

[[host]]
name = "east"
address = "192.0.2.2:7411"
actors = "auto"
"""


@cache
def network() -> Network:
    _, _, world = prepare_text(*read("berlin-frankfurt"), share=Elsewhere())
    return world.network


def written(folder: Path, text: str) -> str:
    path = folder / "hosts.toml"
    path.write_text(text, "utf-8")
    return str(path)


def test_a_file_says_which_hosts_there_are_and_who_runs_on_them(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    found = read_hosts(path)
    assert [(host.name, *host.where) for host in found.host] == [
        ("west", "192.0.2.1", 7411),
        ("east", "192.0.2.2", 7411),
    ]
    assert (found.conductor, found.plain, found.limit_s) == ("conductor", False, 30.0)
    assert found.folder(path) == tmp_path / "certs"
    placement = placed(path, found, network(), {})
    assert list(placement) == ["west", "east"]
    assert sorted(placement["west"] + placement["east"]) == network().names
    assert placement["west"] == [n for n in network().names if n.startswith("berlin") or n == "schaepe"]


def test_on_the_loopback_a_file_may_do_without_certificates(tmp_path: Path) -> None:
    path = written(tmp_path, 'plain = true\n[[host]]\nname = "a"\naddress = "127.0.0.1:7001"\n')
    found = read_hosts(path)
    assert found.folder(path) is None
    assert placed(path, found, network(), {}) == {"a": network().names}


def test_whoever_is_left_is_divided_among_the_hosts_that_take_what_comes(tmp_path: Path) -> None:
    hosts = [HostEntry(name=name, address=f"h:{7000 + k}") for k, name in enumerate("abc")]
    one = HostEntry(name="d", address="h", actors=["controller*", "erfurt", "erf*"])
    path = written(tmp_path, "")
    placement = placed(path, HostsFile(host=[*hosts, one], plain=True), network(), {})
    assert sorted(actor for actors in placement.values() for actor in actors) == network().names
    assert all(placement.values())
    assert "erfurt" in placement["d"]


@pytest.mark.parametrize(
    ("address", "where"),
    [
        ("192.0.2.1:80", ("192.0.2.1", 80)),
        ("192.0.2.1", ("192.0.2.1", DEFAULT_PORT)),
        ("Node-1.example.org:65535", ("node-1.example.org", 65535)),
        ("[2001:db8::1]:7000", ("2001:db8::1", 7000)),
        ("[::1]", ("::1", DEFAULT_PORT)),
    ],
)
def test_an_address_has_a_port_or_the_usual_one(address: str, where: tuple[str, int]) -> None:
    assert HostEntry(name="a", address=address).where == where


@pytest.mark.parametrize(
    "address",
    ["", ":7411", "west:", "west:0", "west:65536", "west:http", "west:-1", "::1", "2001:db8::1:7411", "[]:1", "a b:1",
     "tcp://west:7411", "west:7411/", "west:\u0667", "[west:7411", "a:1:2"],
)  # fmt: skip
def test_what_is_no_address_is_said_with_one_that_is(tmp_path: Path, address: str) -> None:
    path = written(tmp_path, GOOD.replace("192.0.2.2:7411", address))
    with pytest.raises(InputError) as refused:
        read_hosts(path)
    (line,) = refused.value.lines
    assert line.startswith(
        f"{path}: host.1.address: {address!r} is no address: expected HOST or HOST:PORT, such as 192."
    )


HOST = '[[host]]\nname = "west"\naddress = "h:1"\n'
BAD = {
    "no TOML": ("[[host]\n", "no TOML: ", "(at line 1, column"),
    "nobody": ('certificates = "c"\n', "host: host is missing", ""),
    "no host": ('certificates = "c"\nhost = []\n', "host: ", "at least 1"),
    "no name": ('certificates = "c"\n[[host]]\naddress = "h:1"\n', "host.0.name: name is missing", ""),
    "a bad name": (
        'certificates = "c"\n' + HOST.replace('"west"', '"the west"'),
        "host.0.name: expected letters, digits and hyphens",
        "got 'the west'",
    ),
    "no address": ('certificates = "c"\n[[host]]\nname = "west"\n', "host.0.address: address is missing", ""),
    "a number for an address": (
        'certificates = "c"\n' + HOST.replace('"h:1"', "7411"),
        "host.0.address: must be text in quotes",
        "7411",
    ),
    "one name twice": (
        'certificates = "c"\n' + HOST + HOST.replace("h:1", "h:2").replace("west", "West"),
        "host.1.name: 'West' is the name of host.0, too",
        "",
    ),
    "one address twice": (
        'certificates = "c"\n' + HOST.replace("h:1", "h:7411") + HOST.replace("west", "east").replace("h:1", "H"),
        "host.1.address: east and west are both at H",
        "",
    ),
    "the conductor's name": (
        'certificates = "c"\n' + HOST.replace("west", "Conductor"),
        "host.0.name: 'Conductor' is the conductor's name; give another one by `conductor`",
        "",
    ),
    "no certificates": (HOST, "certificates: no folder is given: make them with `qie certs ", "`plain = true`"),
    "an unknown key": (
        'certificate = "c"\nplain = true\n' + HOST,
        "certificate: unknown key 'certificate'",
        "did you mean 'certificates'?",
    ),
    "an unknown key of a host": (
        "plain = true\n" + HOST + 'actor = "auto"\n',
        "host.0.actor: unknown key 'actor'",
        "did you mean 'actors'?",
    ),
    "a key that is like none": (
        "plain = true\n" + HOST + "zzz = 1\n",
        "host.0.zzz: unknown key 'zzz'",
        "known are actors, address, name",
    ),
    "a limit without its unit": (
        "limit = 3\nplain = true\n" + HOST,
        "limit: unknown key 'limit'",
        "did you mean 'limit_s'?",
    ),
    "no patience": ("limit_s = 0\nplain = true\n" + HOST, "limit_s: must be greater than 0, got 0", ""),
    "patience that is no number": ("limit_s = nan\nplain = true\n" + HOST, "limit_s: must be ", "nan"),
    "patience without end": ("limit_s = inf\nplain = true\n" + HOST, "limit_s: must be a finite number", "inf"),
    "one actor without a list": (
        "plain = true\n" + HOST + 'actors = "berlin*"\n',
        "host.0.actors: expected names or patterns, such as [",
        "or \"auto\", got 'berlin*'",
    ),
    "numbers for actors": (
        "plain = true\n" + HOST + "actors = [1]\n",
        "host.0.actors: expected names or patterns",
        "got [1]",
    ),
    "no actors": ("plain = true\n" + HOST + "actors = []\n", "host.0.actors: expected names or patterns", "got []"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_wrong_is_said_once_with_its_place_and_its_cure(tmp_path: Path, what: str) -> None:
    text, begin, also = BAD[what]
    path = written(tmp_path, text)
    with pytest.raises(InputError) as refused:
        read_hosts(path)
    (line,) = refused.value.lines
    assert line.startswith(f"{path}: {begin}")
    assert also in line
    assert "\n" not in line


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    path = written(tmp_path, HOST + HOST)
    with pytest.raises(InputError) as refused:
        read_hosts(path)
    assert [line.removeprefix(f"{path}: ").partition(":")[0] for line in refused.value.lines] == [
        "host.1.name",
        "host.1.address",
        "certificates",
    ]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path, why in ((tmp_path / "none.toml", "No such file"), (tmp_path, "directory")):
        with pytest.raises(InputError, match=f"{path}: cannot be read: .*{why}"):
            read_hosts(str(path))
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="no TOML: "):
        read_hosts(str(binary))


def refusal(*actors: list[str] | str) -> list[str]:
    hosts = [HostEntry(name=f"h{k}", address=f"h:{k + 1}", actors=a) for k, a in enumerate(actors)]  # type: ignore[arg-type]
    with pytest.raises(InputError) as refused:
        placed("hosts.toml", HostsFile(host=hosts, plain=True), network(), {})
    return refused.value.lines


def test_an_actor_that_is_nobody_is_named_and_who_may_be_meant() -> None:
    assert refusal(["erfurtt"], "auto") == [
        "hosts.toml: host.0.actors: 'erfurtt' is nobody of this scenario; did you mean 'erfurt'?"
    ]
    (line,) = refusal(["*"], ["zzz*"])
    assert line.startswith("hosts.toml: host.1.actors: 'zzz*' is nobody of this scenario; there are ")


def test_an_actor_that_is_placed_twice_is_named_once() -> None:
    assert refusal(["erfurt"], ["erf*", "erfurt", "*furt"], "auto")[0] == (
        "hosts.toml: host.1.actors: 'erfurt' is placed on h0, too; name it once"
    )
    assert len([line for line in refusal(["erfurt"], ["erfurt", "erfur?"], "auto") if "'erfurt'" in line]) == 1


def test_actors_that_nobody_runs_are_named_with_the_cure() -> None:
    (line,) = refusal(["berlin*"], ["frankfurt*"])
    assert line.startswith("hosts.toml: nobody runs ")
    assert line.endswith(', ...: add a pattern, or `actors = "auto"` for a host')
    assert line.count(",") < 7


def test_a_host_on_which_nobody_is_left_to_run_is_named() -> None:
    assert refusal(["*"], "auto") == ["hosts.toml: nobody is left to run on h1: take it out"]


def test_more_hosts_than_are_left_to_divide_are_too_many() -> None:
    all_but_one = [name for name in network().names if name != "erfurt"]
    (line,) = refusal(all_but_one, "auto", "auto")
    assert line == "hosts.toml: 1 actors cannot be divided among 2 hosts"
