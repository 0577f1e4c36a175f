import json


def test_info(cli, model):
    text = cli("info", model).stdout
    assert "32x32 pixels" in text
    assert "Black_Hair, Blond_Hair, Beard, happy, sad" in text
    facts = json.loads(cli("info", model, "--json").stdout)
    assert facts["size"] == [32, 32]
    assert len(facts["sha256"]) == 64
