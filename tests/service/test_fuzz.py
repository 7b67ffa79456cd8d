"""Whatever the service is asked: an answer, a living worker, and no file but in its own folder."""

from tests.support import ROOT
from tests.support.cog_server import Cog
from tests.support.fuzzing import fuzz, strays


def test_200_random_requests(service: Cog):
    code = [ROOT / "punks", ROOT / "script", service.folder / "run"]
    before = strays(set(), *code)
    counts = fuzz(service, 200, seed=5)
    assert counts["succeeded"] >= 10
    assert counts["failed"] >= 10
    assert counts["422"] >= 50
    assert not {path for path in strays(before, *code) if path.suffix != ".pyc"}
    assert {path.parent.parent for path in strays(set(), service.temporary)} <= {service.temporary}
    assert service.output() == service.output()
