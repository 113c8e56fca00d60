from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest
from fastapi.testclient import TestClient

from my_service.web import users

USERS = users.router.url_path_for("create_user")


def test_a_user_is_created_listed_read_replaced_and_deleted(client: TestClient) -> None:
    created = client.post("/users", json={"name": "ada", "full_name": "Ada Lovelace"})
    assert created.status_code == 201
    user = created.json()
    assert user.keys() == {"id", "name", "full_name", "created_at"}
    assert datetime.fromisoformat(user["created_at"]).utcoffset() is not None
    path = f"/users/{user['id']}"

    assert client.get("/users").json() == [user]
    assert client.get(path).json() == user

    replaced = client.put(path, json={"name": "lady"})
    assert replaced.json() == user | {"name": "lady", "full_name": None}
    assert client.get(path).json() == replaced.json()

    assert client.delete(path).status_code == 204
    assert client.get("/users").json() == []
    for response in (client.get(path), client.put(path, json={"name": "x"}), client.delete(path)):
        assert response.status_code == 404


def test_a_name_is_given_once(client: TestClient) -> None:
    client.post("/users", json={"name": "ada"})
    client.post("/users", json={"name": "bob"})
    assert client.post("/users", json={"name": "ada"}).status_code == 409
    assert client.put("/users/2", json={"name": "ada"}).status_code == 409
    assert [user["name"] for user in client.get("/users").json()] == ["ada", "bob"]


def test_users_are_listed_page_by_page(client: TestClient) -> None:
    for name in "abc":
        client.post("/users", json={"name": name})
    first = client.get("/users", params={"limit": 2}).json()
    second = client.get("/users", params={"limit": 2, "after": first[-1]["id"]}).json()
    assert [user["name"] for user in first + second] == ["a", "b", "c"]


def test_a_new_user_is_found_at_its_location(client: TestClient) -> None:
    created = client.post(USERS, json={"name": "ada"})
    assert client.get(created.headers["Location"]).json() == created.json()


def test_a_page_links_to_the_next_one(client: TestClient) -> None:
    for name in "abc":
        client.post(USERS, json={"name": name})
    first = client.get(USERS, params={"limit": 2})
    second = client.get(first.links["next"]["url"])
    assert [user["name"] for user in second.json()] == ["c"]
    assert "next" not in second.links


def test_two_writers_of_a_user_never_mix_what_they_write(client: TestClient) -> None:
    path = client.post(USERS, json={"name": "a", "full_name": "x"}).headers["Location"]
    # Each of them leaves one column as it is.
    bodies = [{"name": "a", "full_name": "y"}, {"name": "b", "full_name": "x"}]
    with ThreadPoolExecutor(2) as executor:
        for _ in range(12):
            client.put(path, json={"name": "a", "full_name": "x"})
            replaced = executor.map(lambda body: client.put(path, json=body), bodies)
            assert [response.status_code for response in replaced] == [200, 200]
            user = client.get(path).json()
            assert {name: user[name] for name in ("name", "full_name")} in bodies


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": ""},
        {"name": " "},
        {"name": "x" * 101},
        {"name": "nul\x00"},
        {"name": "x", "full_name": "x" * 201},
        {"name": "x", "full_name": "\x00"},
        {"name": None},
    ],
)
def test_a_user_that_the_table_could_not_hold_is_refused(
    client: TestClient,
    body: dict[str, object],
) -> None:
    assert client.post("/users", json=body).status_code == 422


@pytest.mark.parametrize("user_id", ["0", "-1", "x", str(2**31), str(2**63)])
def test_an_id_that_cannot_be_one_is_refused(client: TestClient, user_id: str) -> None:
    assert client.get(f"/users/{user_id}").status_code == 422
