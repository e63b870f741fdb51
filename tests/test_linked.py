"""A call in a chapter's code leads to the reference, and nothing else does."""

from types import SimpleNamespace

import linked

LABELS = {
    "helper-normal": ("book/reference-priors", "helper-normal"),
    "helper-map_rho": ("book/reference-map", "helper-map-rho"),
    "class-world": ("book/reference-worlds", "class-world"),
    "helper-elsewhere": ("book/other", "helper-elsewhere"),
}


def page(body, name="book/03-joint-models"):
    builder = SimpleNamespace(get_relative_uri=lambda here, there: there.removeprefix("book/") + ".html")
    env = SimpleNamespace(domaindata={"std": {"anonlabels": LABELS}})
    context = {"body": body}
    linked.link(SimpleNamespace(env=env, builder=builder), name, None, context, None)
    return context["body"]


def test_a_call_of_a_public_name_is_a_link():
    call = '<span class="n">map_rho</span><span class="p">(</span>'
    assert page(call).startswith('<a class="called" href="reference-map.html#helper-map-rho"')
    assert 'href="reference-worlds.html#class-world"' in page(call.replace("map_rho", "World"))


def test_nothing_else_is_touched():
    imported = '<span class="n">map_rho</span><span class="p">,</span>'
    unknown = "".join(f'<span class="n">{name}</span><span class="p">(</span>' for name in ("print", "elsewhere"))
    assert page(imported) == imported and page(unknown) == unknown
    call = '<span class="n">map_rho</span><span class="p">(</span>'
    assert page(call, "book/reference-map") == call


def test_a_name_of_another_library_that_is_spelt_alike_is_no_link():
    """`pm.Normal(...)`, `rng.normal(...)` and `Normal(...)` are not our `normal(...)`."""
    call = '<span class="n">{}</span><span class="p">(</span>'
    ours, others = call.format("normal"), call.format("Normal")
    method = '<span class="n">rng</span><span class="o">.</span>' + ours
    assert page(others) == others and page(method) == method
    assert "helper-normal" in page("<span></span>" + ours)
