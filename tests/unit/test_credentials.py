"""Passwords in arguments and configs are noticed; references to variables are none."""

from __future__ import annotations

import pytest

from pgpelib.training.credentials import has_literal_password


@pytest.mark.parametrize(
    "text",
    [
        "mongodb://user:secret@host/db",
        "mongodb://user:se/cr@et@host/db",
        "mongodb+srv://user:secret$1@host/db",
        "mongodb://user:$A$B@host/db",
        "user:secret@host:27017:db",
        "--mongo_db=mongodb://:secret@host/db",
        "https://name:token@host/repository.git",
        "mongodb://host/db?tlsCertificateKeyFilePassword=secret",
        "mongodb://$U:$P@host/db?authMechanismProperties.AWS_SESSION_TOKEN=abc",
    ],
)
def test_passwords(text):
    assert has_literal_password(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "with",
        "127.0.0.1:27017:es",
        "mongodb://host:27017/db?retryWrites=true",
        "mongodb://$USER:$PASSWORD@host/db",
        "mongodb://${USER}:${PASSWORD}@host/db?authSource=admin",
        "mongodb://user@host/db",
        "mongodb://user:@host/db",
        "mongodb://host/db?tlsCertificateKeyFilePassword=$SECRET",
        "git@host:owner/repository.git",
        "https://host/owner/repository.git",
        "env_name=tinytraj_humanoid_bullet:TinyTrajHumanoidBulletEnv-v0",
        "partners=['DrivingContinuous-v0/world=a:b@c-v0']",
    ],
)
def test_everything_else(text):
    assert not has_literal_password(text)
