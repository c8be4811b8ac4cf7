"""Go templates: what they give and how they fail, as Go's own engine does."""

from typing import Any

import pytest

from pydock_client.commands.inspect import typed
from pydock_shared.template import Template, TemplateError

VALUE: dict[str, Any] = {
    "Id": "abc",
    "Empty": "",
    "Count": 5,
    "State": {"Running": True, "Paused": False, "Pid": 12, "Health": None},
    "Config": {"Env": ["A=1", "B=2"], "Labels": {"a.b": "x", "c": "<&>"}, "Nothing": []},
    "Networks": {"b": {"Address": "1"}, "a": {"Address": "2"}},
}

GOOD = [
    ("plain", "plain"),
    ("{{.Id}}", "abc"),
    ("{{ .Id }}!", "abc!"),
    ("{{.}}x", None),
    ("{{.State.Pid}}", "12"),
    ("{{.State.Running}} {{.State.Paused}}", "true false"),
    ("{{.State.Health}}", "<nil>"),
    ("{{.Config.Env}}", "[A=1 B=2]"),
    ("{{.Config.Labels}}", "map[a.b:x c:<&>]"),
    ("{{json .Config.Labels}}", '{"a.b":"x","c":"<&>"}'),
    ("{{json .State}}", '{"Running":true,"Paused":false,"Pid":12,"Health":null}'),
    ("{{.Config.Env | json}}", '["A=1","B=2"]'),
    ('{{index .Config.Labels "a.b"}}', "x"),
    ("{{index .Config.Env 1}}", "B=2"),
    ('{{(index .Networks "a").Address}}', "2"),
    ("{{range .Config.Env}}{{.}};{{end}}", "A=1;B=2;"),
    ("{{range $i, $e := .Config.Env}}{{$i}}{{$e}} {{end}}", "0A=1 1B=2 "),
    ("{{range $k, $v := .Networks}}{{$k}}={{$v.Address}} {{end}}", "a=2 b=1 "),
    ("{{range .Networks}}{{.Address}}{{end}}", "21"),
    ("{{range .Config.Nothing}}x{{else}}none{{end}}", "none"),
    ("{{range .Config.Env}}{{$.Id}}{{end}}", "abcabc"),
    ('{{range .Config.Env}}{{if eq . "B=2"}}{{break}}{{end}}{{.}}{{end}}', "A=1"),
    ('{{range .Config.Env}}{{if eq . "A=1"}}{{continue}}{{end}}{{.}}{{end}}', "B=2"),
    ("{{if .State.Running}}up{{else}}down{{end}}", "up"),
    ("{{if .Empty}}a{{else if .Id}}b{{else}}c{{end}}", "b"),
    ("{{if not .Empty}}a{{end}}", "a"),
    ("{{if and .Id (gt .Count 3)}}a{{end}}", "a"),
    ("{{if or .Empty .State.Paused}}a{{else}}b{{end}}", "b"),
    ('{{if eq .Id "x" "abc"}}a{{end}}', "a"),
    ('{{ne .Id "abc"}} {{lt .Count 6}} {{le .Count 5}} {{ge .Count 6}}', "false true true false"),
    ("{{with .State}}{{.Pid}}{{end}}", "12"),
    ("{{with .Empty}}a{{else}}b{{end}}", "b"),
    ("{{$x := .Id}}{{$x}}{{$x = .Count}}{{$x}}", "abc5"),
    ("a {{- /* comment */ -}} b", "ab"),
    ("{{/* comment */}}x", "x"),
    ("a  {{- .Id -}}  b", "aabcb"),
    (
        '{{printf "%s-%v-%d|%5s|%-5s|%q|%05.1f%%" .Id .State.Running .Count .Id .Id .Id 2.25}}',
        'abc-true-5|  abc|abc  |"abc"|002.2%',
    ),
    ('{{print .Id .Count 1 "a"}}', "abc5 1a"),
    ("{{println .Id .Count}}", "abc 5\n"),
    ('{{join .Config.Env ", "}}', "A=1, B=2"),
    ('{{split .Id "b"}}', "[a c]"),
    ('{{upper .Id}} {{lower `X`}} {{title "a b"}}', "ABC x A B"),
    ("{{truncate .Id 2}}|{{pad .Id 1 2}}|", "ab| abc  |"),
    ("{{len .Config.Env}} {{len .Id}}", "2 3"),
    ("{{slice .Id 1}} {{slice .Id 0 2}}", "bc ab"),
    ("{{html .Config.Labels.c}}", "&lt;&amp;&gt;"),
    ('{{"quoted \\"text\\""}}{{`raw`}}{{3}}{{true}}', 'quoted "text"raw3true'),
    ('{{(len .Config.Env) | printf "%03d"}}', "002"),
]


@pytest.mark.parametrize(("source", "text"), GOOD, ids=[source for source, _ in GOOD])
def test_renders(source: str, text: str | None):
    rendered = Template(source).render(VALUE)
    assert text is None or rendered == text


BAD = [
    ("{{.Nope}}", 'template: :1:2: executing "" at <.Nope>: map has no entry for key "Nope"'),
    ("a\n{{.State.Nope.More}}", ':2:8: executing "" at <.State.Nope.More>: map has no entry for key "Nope"'),
    ("{{.State.Health.Status}}", "nil pointer"),
    ("{{.Id.More}}", "can't evaluate field More"),
    ("{{foo}}", 'function "foo" not defined'),
    ("{{.Id", "unclosed action"),
    ("{{if .Id}}x", "unexpected EOF"),
    ("{{end}}", "unexpected {{end}}"),
    ("{{}}", "missing value for command"),
    ("{{range}}{{end}}", "missing value for range"),
    ('{{"x}}', "unterminated quoted string"),
    ("{{.Id | }}", "missing value for command"),
    ("{{(.Id}}", "unclosed left paren"),
    ("{{$x}}", "undefined variable: $x"),
    (
        "{{index .Config.Env 7}}",
        "at <index .Config.Env 7>: error calling index: index out of range: 7",
    ),
    ("{{.Id 3}}", "can't give argument to non-function .Id"),
    ("{{range .Id}}{{end}}", "range can't iterate over abc"),
    ("{{define `x`}}{{end}}", "is not supported"),
    ("{{#}}", "unrecognized character in action: U+0023"),
]


@pytest.mark.parametrize(("source", "message"), BAD, ids=[source for source, _ in BAD])
def test_fails(source: str, message: str):
    with pytest.raises(TemplateError) as failed:
        Template(source).render(VALUE)
    assert message in str(failed.value)


def test_a_lax_template_has_no_value_for_what_is_missing():
    assert Template("{{.Nope}} {{.Nope.More}}", strict=False).render({}) == "<no value> <no value>"


def test_an_optional_field_is_nil_when_it_is_missing_and_still_has_no_fields():
    template = Template("{{if .Health}}{{.Health.Status}}{{else}}none{{end}}", optional=frozenset({"Health"}))
    assert template.render({}) == "none"
    assert template.render({"Health": {"Status": "healthy"}}) == "healthy"
    with pytest.raises(TemplateError):
        Template("{{.Health.Status}}", optional=frozenset({"Health"})).render({})


def test_nulls_of_known_fields_print_as_gos_types_do():
    value = typed({"Cmd": None, "Labels": None, "Volumes": {"/x": {}}, "Other": None})
    assert Template("{{.Cmd}} {{.Labels}} {{.Volumes}} {{.Other}}").render(value) == "[] map[] map[/x:{}] <nil>"
    assert Template("{{json .}}").render(value) == '{"Cmd":null,"Labels":null,"Volumes":{"/x":{}},"Other":null}'
    assert Template("{{len .Cmd}} {{range .Labels}}x{{end}}").render(value) == "0 "
