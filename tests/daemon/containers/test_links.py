"""The variables of a link."""

from pydock_daemon.containers.links import variables

ADDRESS = "172.17.0.2"


def test_ports_that_follow_each_other_are_a_range_too():
    made = variables("/app/db", ADDRESS, ["81/tcp", "80/tcp", "53/udp", "90/tcp"], [])
    assert made[0] == f"DB_PORT=tcp://{ADDRESS}:80"
    assert [entry for entry in made if "START" in entry or "END" in entry] == [
        f"DB_PORT_80_TCP_START=tcp://{ADDRESS}:80",
        "DB_PORT_80_TCP_PORT_START=80",
        f"DB_PORT_80_TCP_END=tcp://{ADDRESS}:81",
        "DB_PORT_80_TCP_PORT_END=81",
    ]
    assert f"DB_PORT_53_UDP=udp://{ADDRESS}:53" in made
    assert "DB_PORT_90_TCP_PORT=90" in made


def test_its_own_variables_are_passed_on():
    made = variables("/app/my-db", ADDRESS, [], ["A=b=c", "PATH=/bin", "HOME=/", "bare"])
    assert made == ["MY_DB_NAME=/app/my-db", "MY_DB_ENV_A=b=c"]
