import FeatureCore
import HTTPListener

/// The OpenAPI 3.0 document of the server: each service has a path with the types of its rows.
enum OpenAPI {
  static func answer(
    _ catalog: Catalog, _ predictions: [PredictionSource], needsToken: Bool, _ limits: RequestLimits
  ) -> HTTPAnswer {
    var text = JSONText(capacity: 16_384)
    text.raw("{\"openapi\":\"3.0.3\",\"info\":{\"title\":")
    text.string("Features of \(catalog.plan.name)")
    text.raw(",\"version\":")
    text.string("\(catalog.plan.version)")
    text.raw("},\"paths\":{")
    for service in catalog.plan.services {
      path(&text, service, needsToken, limits)
      text.raw(",")
    }
    for source in predictions {
      path(&text, source, limits)
      text.raw(",")
    }
    text.raw(
      """
      "/get-online-features":{"post":{"summary":"Features as Feast 0.67 asks for them",
      "requestBody":{"required":true,"content":{"application/json":{"schema":{"type":"object","required":["entities"],
      "properties":{"entities":{"type":"object","additionalProperties":{"type":"array","items":{}}},
      "features":{"type":"array","items":{"type":"string"}},"feature_service":{"type":"string"},
      "full_feature_names":{"type":"boolean"}}}}}},
      "responses":{"200":{"description":"Columns of values","content":{"application/json":{"schema":{"type":"object",
      "required":["metadata","results"]}}}},
      """)
    errors(&text, [400, 401, 403, 404, 413, 422, 500, 503], "application/json", "FeastError")
    text.raw(
      """
      }},"/v1/registry":{"get":{"summary":"Sources, views, features and services",
      "responses":{"200":{"description":"What there is","content":{"application/json":{"schema":{"type":"object",
      "required":["name","live_version","versions"]}}}},
      """)
    errors(&text, [401, 403], "application/problem+json", "Problem")
    text.raw("}}")
    for (path, summary) in [
      ("/healthz", "Whether the process lives"), ("/readyz", "Whether requests can be answered"),
      ("/health", "The same, as Feast names it"),
    ] {
      text.raw(",")
      text.string(path)
      text.raw(":{\"get\":{\"summary\":")
      text.string(summary)
      text.raw(
        """
        ,"responses":{"200":{"description":"Yes","content":{"text/plain":{"schema":{"type":"string"}}}},
        "503":{"description":"No, and why","content":{"text/plain":{"schema":{"type":"string"}}}}}}}
        """)
    }
    text.raw(
      """
      ,"/metrics":{"get":{"summary":"Measurements for Prometheus","responses":{"200":{"description":"Text",
      "content":{"text/plain":{"schema":{"type":"string"}}}},
      """)
    errors(&text, [401, 403], "application/problem+json", "Problem")
    text.raw(
      """
      }}},"components":{"schemas":{"Problem":{"type":"object","required":["type","title","status","detail"],
      "properties":{"type":{"type":"string"},"title":{"type":"string"},"status":{"type":"integer"},
      "detail":{"type":"string"}}},
      "FeastError":{"type":"string","description":"A JSON text with module, class and message"}},
      "securitySchemes":{"token":{"type":"http","scheme":"bearer"}}}
      """)
    if needsToken { text.raw(",\"security\":[{\"token\":[]}]") }
    text.raw("}\n")
    return HTTPAnswer(200, "application/json", text.bytes)
  }

  private static func path(
    _ text: inout JSONText, _ service: ServicePlan, _ needsToken: Bool, _ limits: RequestLimits
  ) {
    text.string("/v1/services/\(service.name)")
    text.raw(":{\"post\":{\"summary\":")
    text.string(service.service.annotations.description ?? "Features of \(service.name)")
    text.raw(
      """
      ,"requestBody":{"required":true,"content":{"application/json":{"schema":{"type":"object","required":["rows"
      """)
    if !service.service.inputs.isEmpty { text.raw(",\"inputs\"") }
    text.raw(
      """
      ],"additionalProperties":false,"properties":{"request_id":{"type":"string","minLength":1,"maxLength":64},
      "rows":{"type":"array","minItems":1,"maxItems":
      """)
    text.number(limits.rowsMax)
    text.raw(",\"items\":")
    object(
      &text,
      service.entity.compactMap { column in
        if case .scalar(let type) = column.type { (column.name, type) } else { nil }
      })
    text.raw("}")
    if !service.service.inputs.isEmpty {
      text.raw(",\"inputs\":")
      object(&text, service.service.inputs.map { ($0.name, $0.type) })
    }
    text.raw(
      """
      }}}}},"responses":{"200":{"description":"A row of values for each row",
      "content":{"application/json":{"schema":{"type":"object","additionalProperties":false,
      "required":["request_id","at","version","names","views","rows"],"properties":{"request_id":{"type":"string"},
      "at":{"type":"string","format":"date-time"},"version":{"type":"integer"},
      "names":{"type":"array","items":{"type":"string"}},"views":{"type":"array","items":{"type":"string"}},
      "rows":{"type":"array","items":{"type":"object","required":["values","views"],
      "properties":{"values":{"type":"array","items":{}},"views":{"type":"array","items":{"type":"object",
      "required":["status","as_of","position","lag_ms"]}}}}}}}},"application/x-protobuf":{"schema":{"type":"string",
      "format":"binary"}}}},
      """)
    errors(&text, [400, 401, 403, 404, 406, 409, 413, 422, 500, 503], "application/problem+json", "Problem")
    text.raw("}}")
  }

  private static func path(_ text: inout JSONText, _ source: PredictionSource, _ limits: RequestLimits) {
    text.string("/v1/predictions/\(source.name)")
    text.raw(":{\"post\":{\"summary\":")
    text.string(source.plan.source.annotations.description ?? "Rows for the topic of \(source.name)")
    text.raw(
      """
      ,"requestBody":{"required":true,"content":{"application/json":{"schema":{"type":"object","required":["rows"],
      "additionalProperties":false,"properties":{"rows":{"type":"array","minItems":1,"maxItems":
      """)
    text.number(limits.rowsMax)
    // What a field may be is told row by row: a unit, a path or a time decides it.
    text.raw(",\"items\":{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{")
    for (index, member) in source.members.enumerated() {
      if index > 0 { text.raw(",") }
      text.string(member)
      text.raw(":{}")
    }
    text.raw(
      """
      }}}}}}}},"responses":{"200":{"description":"What became of each row: the brokers have those that are accepted",
      "content":{"application/json":{"schema":{"type":"object","additionalProperties":false,
      "required":["accepted","refused","rows"],"properties":{"accepted":{"type":"integer"},"refused":{"type":"integer"},
      "rows":{"type":"array","items":{"type":"object","additionalProperties":false,"required":["status"],
      "properties":{"status":{"type":"string","enum":["accepted","refused"]},"detail":{"type":"string"}}}}}}}}},
      """)
    errors(&text, [400, 401, 403, 404, 413, 500, 503], "application/problem+json", "Problem")
    text.raw("}}")
  }

  /// An object with one value of each name.
  private static func object(_ text: inout JSONText, _ members: [(String, ValueType)]) {
    text.raw("{\"type\":\"object\",\"additionalProperties\":false,\"required\":")
    text.list(members) { $0.string($1.0) }
    text.raw(",\"properties\":{")
    for (index, member) in members.enumerated() {
      if index > 0 { text.raw(",") }
      text.string(member.0)
      switch member.1 {
      case .string: text.raw(":{\"type\":\"string\",\"maxLength\":256,\"nullable\":true}")
      case .int64: text.raw(":{\"type\":\"integer\",\"format\":\"int64\",\"nullable\":true}")
      case .double: text.raw(":{\"type\":\"number\",\"format\":\"double\",\"nullable\":true}")
      case .bool: text.raw(":{\"type\":\"boolean\",\"nullable\":true}")
      case .timestamp: text.raw(":{\"type\":\"string\",\"format\":\"date-time\",\"nullable\":true}")
      }
    }
    text.raw("}}")
  }

  /// The rest of an operation's responses, with the brace behind them.
  private static func errors(
    _ text: inout JSONText, _ statuses: [Int], _ type: StaticString, _ schema: StaticString
  ) {
    for (index, status) in statuses.enumerated() {
      if index > 0 { text.raw(",") }
      text.string("\(status)")
      text.raw(":{\"description\":\"An error\",\"content\":{\"")
      text.raw(type)
      text.raw("\":{\"schema\":{\"$ref\":\"#/components/schemas/")
      text.raw(schema)
      text.raw("\"}}}}")
    }
    text.raw("}")
  }
}
