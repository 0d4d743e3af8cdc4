# Reads OTLP trace exports by OpenTelemetry's own protocol definitions: each argument is a file with one
# request's body; writes its spans as one JSON list. What is not OTLP raises.
import json
import sys

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

spans = []
for path in sys.argv[1:]:
    with open(path, "rb") as file:
        export = ExportTraceServiceRequest.FromString(file.read())
    for resource in export.resource_spans:
        process = {a.key: a.value.string_value for a in resource.resource.attributes}
        for scope in resource.scope_spans:
            for span in scope.spans:
                values = {a.key: MessageToDict(a.value) for a in span.attributes}
                assert len(span.trace_id) == 16 and len(span.span_id) == 8
                spans.append({
                    "name": span.name,
                    "trace": span.trace_id.hex(),
                    "span": span.span_id.hex(),
                    "parent": span.parent_span_id.hex(),
                    "kind": span.kind,
                    "startMs": span.start_time_unix_nano / 1e6,
                    "endMs": span.end_time_unix_nano / 1e6,
                    "process": process,
                    "attributes": {key: next(iter(value.values()), None) for key, value in values.items()},
                })
print(json.dumps(spans))
