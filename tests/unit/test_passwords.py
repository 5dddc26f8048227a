"""Passwords of stores: taken out of URIs as the stores' clients read them, and hidden wherever they stand."""

import os
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from ratelab.config.secrets import hide_passwords, hide_passwords_in, with_sources_of_secrets
from ratelab.runs.planned import plan_run
from ratelab.runtime.passwords import take_password, without_password
from ratelab.tracking import resolve_store
from ratelab.validation import UserError
from support.composing import composed

NAMES = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "PGPASSWORD")
SECRETS = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1, max_size=12)
HARD = [
    "hush",
    "a",
    "hu%sh",
    "hu@sh",
    "hu:sh",
    "hu/sh",
    "hu#sh",
    "hu?sh",
    "hu,sh",
    "hu=sh",
    "hu sh",
    "'hush",
    "h${x}",
]


@pytest.fixture(autouse=True)
def _no_password_in_the_environment(monkeypatch):
    """Nothing is there at first, and what a test puts there goes with it."""
    with pytest.MonkeyPatch.context() as patch:
        for name in NAMES:
            patch.setenv(name, "")
            del os.environ[name]
        yield
        for name in NAMES:
            os.environ.pop(name, None)


def credentials():
    return {name: os.environ[name] for name in NAMES if name in os.environ}


@given(SECRETS, SECRETS)
def test_a_server_is_given_the_user_and_the_password_that_requests_reads(user, password):
    from requests.utils import get_auth_from_url

    uri = f"http://{quote(user, safe='')}:{quote(password, safe='')}@host:5000/base"
    assert take_password(uri) == "http://host:5000/base"
    assert get_auth_from_url(uri) == (user, password)
    assert (os.environ[NAMES[0]], os.environ[NAMES[1]]) == (user, password)


@given(SECRETS)
def test_postgresql_is_given_the_password_that_sqlalchemy_reads(password):
    from sqlalchemy import make_url

    uri = f"postgresql+psycopg://me:{quote(password, safe='')}@host:5432/db?sslmode=require"
    bare = take_password(uri)
    assert bare == "postgresql+psycopg://me@host:5432/db?sslmode=require"
    assert make_url(uri).password == os.environ["PGPASSWORD"] == password


@pytest.mark.parametrize(
    ("uri", "bare", "password"),
    [
        ("postgresql://me:hu/s#h?@host/db", "postgresql://me@host/db", "hu/s#h?"),
        ("postgresql://me@host/db?password=hush", "postgresql://me@host/db", "hush"),
        ("postgresql://me:one@host/db?password=two", "postgresql://me@host/db", "two"),
        ("postgresql://me:123@host:5432/db", "postgresql://me@host:5432/db", "123"),
    ],
)
def test_postgresql_takes_a_password_as_it_stands_and_behind_a_question_mark(uri, bare, password):
    assert (take_password(uri), credentials()) == (bare, {"PGPASSWORD": password})


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "mlruns",
        "sqlite:///a@b:c.db",
        "http://host:5000/a@b",
        "http://me@host",
        "http://[::1]:5000",
        "postgresql:///db",
        "postgresql://me@host/db?sslmode=require",
        "mysql://me:hush@host/db",
        "http://me:${oc.env:PASSWORD}@host",
        "http://${oc.env:HOST}:5000",
    ],
)
def test_a_uri_without_a_password_stays_as_it_is(uri):
    assert (take_password(uri), credentials()) == (uri, {})


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("http://host:99999", "Port out of range"),
        ("postgresql://me:hush@host:99999/db", "cannot be read as an address"),
        ("http://me:hush%00@host", "zero byte"),
        ("http://[::1", "Invalid IPv6 URL"),
        ("http://me:hush/x@host:5000", "%2F"),
        ("http://me:hush#x@host:5000", "%23"),
        ("postgresql://me:hush@x@host/db", "%40"),
        ("http://:hush@host", "needs a user"),
        ("http://host?token=hush", "takes no secret"),
        ("postgresql://me@host/db?sslpassword=hush", "PGSERVICEFILE"),
        ("http://me:hush@${oc.env:HOST}", "must be ${oc.env:NAME} too"),
    ],
)
def test_what_cannot_be_read_or_hidden_is_refused_with_what_to_do_and_no_password(uri, reason):
    with pytest.raises(UserError) as refusal:
        take_password(uri)
    assert reason in str(refusal.value)
    assert str(refusal.value).startswith("tracking.uri: ")
    assert "hush" not in str(refusal.value)
    assert credentials() == {}


def test_the_address_of_a_store_has_no_password(tmp_path):
    assert resolve_store("http://me:hush@host:5000/", tmp_path) == "http://host:5000"
    assert resolve_store("postgresql://me:hush@host/db", tmp_path) == "postgresql://me@host/db"


# ------------------------------------------------------------------------------------------------- overrides


@pytest.mark.parametrize("secret", HARD)
@pytest.mark.parametrize("form", ["tracking.uri={}", "++tracking.uri={}", "tracking.uri='{}'"])
def test_no_override_has_a_password_when_hydra_reads_it(form, secret):
    uri = f"http://me:{quote(secret, safe='')}@host:5000"
    [word] = hide_passwords([form.format(uri)])
    assert word == form.format("http://host:5000").replace("'", "")
    assert credentials() == {NAMES[0]: "me", NAMES[1]: secret}


@pytest.mark.parametrize(
    ("text", "password"),
    [
        ("postgresql://me:h#=!h@host/db", "h#=!h"),  # which Hydra cannot parse
        ("'postgresql://me:h,h@host/db'", "h,h"),
        (r"postgresql://me:h\,h@host/db", "h,h"),
        ("postgresql://me:h h@host/db", "h h"),
        ("postgresql://me:hh@host/db,postgresql://me:hh@host/db", "hh"),
    ],
)
def test_a_password_is_read_from_an_override_as_hydra_reads_it(text, password):
    [word] = hide_passwords([f"tracking.uri={text}"])
    assert set(word.removeprefix("tracking.uri=").split(",")) == {"postgresql://me@host/db"}
    assert credentials() == {"PGPASSWORD": password}


def test_other_words_stay_as_they_are():
    words = [
        "-m",
        "seed=0,1",
        "tracking.uri=sqlite:///my runs@home.db",
        "~tracking.uri",
        "tracking.uri",
        "a@b:c=x",
    ]
    words += ["tracking.uri=http://me:${oc.env:PW}@host", "tracking.experiment=http://me:x@host"]
    assert hide_passwords(words) == words
    assert credentials() == {}


def test_a_secret_variable_of_the_jobs_goes_to_the_environment():
    words = hide_passwords(["+hydra.job.env_set.MLFLOW_TRACKING_TOKEN=hush", "+hydra.job.env_set.HOME=/x"])
    assert words == [
        "+hydra.job.env_set.MLFLOW_TRACKING_TOKEN=${oc.env:MLFLOW_TRACKING_TOKEN}",
        "+hydra.job.env_set.HOME=/x",
    ]
    assert credentials() == {"MLFLOW_TRACKING_TOKEN": "hush"}


def test_a_configuration_that_hydra_saves_has_no_password_wherever_it_came_from():
    config = composed("data=digits", "tracking.uri=postgresql://me:hush@host/db")
    hide_passwords_in(config)
    assert config.tracking.uri == "postgresql://me@host/db"
    assert "hush" not in OmegaConf.to_yaml(config)
    from_file = composed("data=digits")
    from_file.tracking.uri = "postgresql://me:hush@host/db"
    hide_passwords_in(from_file)
    assert "hush" not in OmegaConf.to_yaml(from_file)
    # for the jobs of a sweep, which are composed anew
    assert from_file.hydra.overrides.task[-1] == "tracking.uri=postgresql://me@host/db"


# ------------------------------------------------------------------------------------ secrets of other kinds


def test_a_value_from_a_secret_variable_is_recorded_as_where_it_came_from(monkeypatch):
    monkeypatch.setenv("API_KEY", "hush-hush-hush")
    monkeypatch.setenv("WHERE", "here")
    values = {"a": "hush-hush-hush", "b": ["x", "hush-hush-hush"], "c": {"d": "here"}, "e": "hush-hush-hush"}
    raw = {
        "a": "${oc.env:API_KEY}",
        "b": ["x", "${oc.env:API_KEY,y}"],
        "c": {"d": "${oc.env:WHERE}"},
        "e": "${a}",
    }
    assert with_sources_of_secrets(values, raw) == {**raw, "c": {"d": "here"}}
    assert with_sources_of_secrets(values, values) == values


def test_no_experiment_is_named_by_a_secret(monkeypatch):
    monkeypatch.setenv("API_KEY", "hush")
    config = composed("data=digits", "tracking=none", "tracking.experiment=${oc.env:API_KEY}")
    with pytest.raises(
        UserError, match=r"tracking\.experiment: \$\{oc\.env:API_KEY\} is a secret"
    ) as refusal:
        plan_run(config, config.hydra)
    assert "hush" not in str(refusal.value)


# -------------------------------------------------------------------------------------------------- messages


@pytest.mark.parametrize("secret", ["hush", "hu/sh", "hu@sh", "hu:sh#", "p%40ss", "abc"])
def test_a_password_is_hidden_in_a_message_in_every_form_and_nothing_else_is(secret):
    uri = f"postgresql://me:{secret}@host/db"
    text = f"cannot open {uri} with '{secret}' for abcde, hushed"
    assert (
        without_password(text, uri) == "cannot open postgresql://me:***@host/db with '***' for abcde, hushed"
    )


def test_a_short_password_is_hidden_where_it_is_set_off_and_not_inside_words():
    said = without_password("a database at a host, password 'a', a:a@host", "http://a:a@host")
    assert said == "a database at a host, password '***', a:***@host"


@pytest.mark.parametrize("name", NAMES[1:])
def test_a_password_of_the_environment_is_hidden(monkeypatch, name):
    monkeypatch.setenv(name, "hush")
    assert without_password("token hush is hushed") == "token *** is hushed"


def test_several_uris_in_one_word_keep_their_hosts_apart():
    assert (
        without_password("http://h:5000,http://me:x@g,http://me:y@i")
        == "http://h:5000,http://me:***@g,http://me:***@i"
    )


@pytest.mark.parametrize("key", ["password", "sslpassword", "token", "api_key", "client_secret"])
def test_what_a_key_calls_a_secret_is_hidden(key):
    assert without_password(f"http://host/?{key}=hush&x=1") == f"http://host/?{key}=***&x=1"
    assert without_password(f"host=h {key}='hu sh' port=1") == f"host=h {key}=*** port=1"
