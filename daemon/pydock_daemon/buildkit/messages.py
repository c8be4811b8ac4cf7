"""The messages of BuildKit's protocols, made at run time from a table of numbers, types and names.

Sources of the numbers: control.proto, gateway.proto, ops.proto, worker.proto, filesync.proto, secrets.proto and
ssh.proto of BuildKit, wire.proto and stat.proto of fsutil. Only what is read or written here is in the table; protobuf
keeps what it does not know to itself. Names of packages do not go over the wire, so there are none.
"""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

TABLE = """
Empty
Timestamp       1 int64 seconds, 2 int32 nanos
Bytes           1 bytes data
Any             1 string type_url, 2 bytes value
Failure         1 int32 code, 2 string message, 3 *Any details
Definition      1 *bytes def, 2 %Empty metadata
Op              1 *Input inputs, 3 Source source
Input           1 string digest, 2 int64 index
Source          1 string identifier
Platform        1 string Architecture, 2 string OS, 3 string Variant

Solve           1 string Ref, 2 Definition Definition, 3 string Exporter, 4 %string ExporterAttrs, 5 string Session,
                6 string Frontend, 7 %string FrontendAttrs, 8 Caches Cache, 9 *string Entitlements,
                10 %Definition FrontendInputs, 11 bool Internal, 13 *Exporter Exporters
Exporter        1 string Type, 2 %string Attrs
Caches          4 *CacheEntry Exports, 5 *CacheEntry Imports
CacheEntry      1 string Type, 2 %string Attrs
Solved          1 %string ExporterResponse

StatusOf        1 string Ref
Status          1 *Vertex vertexes, 2 *Progress statuses, 3 *Log logs, 4 *Warning warnings
Vertex          1 string digest, 2 *string inputs, 3 string name, 4 bool cached, 5 Timestamp started,
                6 Timestamp completed, 7 string error
Progress        1 string ID, 2 string vertex, 3 string name, 4 int64 current, 5 int64 total, 6 Timestamp timestamp,
                7 Timestamp started, 8 Timestamp completed
Log             1 string vertex, 2 Timestamp timestamp, 3 int64 stream, 4 bytes msg
Warning         1 string vertex, 2 int64 level, 3 bytes short, 4 *bytes detail, 5 string url

Workers         1 *Worker record
Worker          1 string ID, 2 %string Labels, 3 *Platform platforms, 5 Version BuildkitVersion
Version         1 string package, 2 string version, 3 string revision
Info            1 Version buildkitVersion
Prune           1 *string filter, 2 bool all, 3 int64 keepDuration, 4 int64 reservedSpace, 5 int64 maxUsedSpace,
                6 int64 minFreeSpace
Usage           1 *Record record
UsageOf         1 *string filter
Record          1 string ID, 2 bool Mutable, 3 bool InUse, 4 int64 Size, 6 Timestamp CreatedAt, 7 Timestamp LastUsedAt,
                8 int64 UsageCount, 9 string Description, 10 string RecordType, 11 bool Shared, 12 *string Parents

HistoryOf       1 bool ActiveOnly, 2 string Ref, 3 bool EarlyExit, 4 *string Filter, 5 int32 Limit
BuildEvent      1 int32 type, 2 BuildRecord record
BuildRecord     1 string Ref, 2 string Frontend, 3 %string FrontendAttrs, 4 *Exporter Exporters, 5 Failure error,
                6 Timestamp CreatedAt, 7 Timestamp CompletedAt, 9 %string ExporterResponse, 14 bool pinned,
                15 int32 numCachedSteps, 16 int32 numTotalSteps, 17 int32 numCompletedSteps
UpdateRecord    1 string Ref, 2 bool Pinned, 3 bool Delete, 4 bool Finalize

Capability      1 string ID, 2 bool Enabled
Pong            1 *Capability FrontendAPICaps, 2 *Capability LLBCaps, 3 *Worker Workers
SolvePart       1 Definition Definition, 2 string Frontend, 3 %string FrontendOpt, 12 *CacheEntry CacheImports,
                13 %Definition FrontendInputs
SolvedPart      3 Result result
Result          1 string refDeprecated, 3 Ref ref, 10 %bytes metadata
Ref             1 string id, 2 Definition def
Return          1 Result result, 2 Failure error

Packet          1 int32 type, 2 Stat stat, 3 uint32 ID, 4 bytes data
Stat            1 string path, 2 uint32 mode, 3 uint32 uid, 4 uint32 gid, 5 int64 size, 6 int64 modTime,
                7 string linkname, 8 int64 devmajor, 9 int64 devminor, 10 %bytes xattrs
CredentialsOf   1 string Host
Credentials     1 string Username, 2 string Secret
SecretOf        1 string ID
Secret          1 bytes data
AgentOf         1 string ID
Health          1 int32 status
"""
"""A name and its fields: number, type, name; `*` before a type is a list, `%` a map from texts."""

_FIELD = descriptor_pb2.FieldDescriptorProto
_KINDS = {
    "string": _FIELD.TYPE_STRING,
    "bytes": _FIELD.TYPE_BYTES,
    "bool": _FIELD.TYPE_BOOL,
    "int32": _FIELD.TYPE_INT32,
    "int64": _FIELD.TYPE_INT64,
    "uint32": _FIELD.TYPE_UINT32,
}


def _rows() -> list[tuple[str, str]]:
    """Return names and their fields; a line that begins with a space goes on with the fields of the one before."""
    rows: list[tuple[str, str]] = []
    for line in TABLE.strip().splitlines():
        if line.startswith(" "):
            name, fields = rows.pop()
            rows.append((name, fields + line))
        elif line:
            name, _, fields = line.partition(" ")
            rows.append((name, fields))
    return rows


def _add(message: descriptor_pb2.DescriptorProto, number: str, kind: str, name: str) -> None:
    field = message.field.add(name=name, number=int(number), label=_FIELD.LABEL_OPTIONAL)
    plain = kind.lstrip("*%")
    if kind.startswith("%"):
        entry = message.nested_type.add(name=f"{name.title().replace('_', '')}Entry")
        entry.options.map_entry = True
        _add(entry, "1", "string", "key")
        _add(entry, "2", plain, "value")
        plain = f"{message.name}.{entry.name}"
    if kind[0] in "*%":
        field.label = _FIELD.LABEL_REPEATED
    if plain in _KINDS:
        field.type = _KINDS[plain]
    else:
        field.type, field.type_name = _FIELD.TYPE_MESSAGE, f".{plain}"


def _classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="buildkit", syntax="proto3")
    for name, fields in _rows():
        message = file.message_type.add(name=name)
        for part in fields.split(","):
            if part.strip():
                _add(message, *part.split())
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(name)) for name, _ in _rows()}


CLASSES = _classes()


def make(name: str, /, **fields: Any) -> Any:
    """Return a message of the table."""
    return CLASSES[name](**fields)


def timestamp(ns: int) -> Any:
    """Return a time since the epoch as a message."""
    return make("Timestamp", seconds=ns // 10**9, nanos=ns % 10**9)
