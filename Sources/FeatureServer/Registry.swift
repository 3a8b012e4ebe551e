import FeatureCore
import HTTPListener

/// `GET /v1/registry`: what there is, whose it is and where it comes from, of every version that can be served.
enum Registry {
  static func answer(_ catalogs: [Catalog], live: Int?) -> HTTPAnswer {
    var text = JSONText(capacity: 16_384)
    text.raw("{\"name\":")
    text.string(catalogs[0].plan.name)
    text.raw(",\"live_version\":")
    if let live { text.number(live) } else { text.raw("null") }
    text.raw(",\"versions\":")
    text.list(catalogs) { write(&$0, $1) }
    text.raw("}\n")
    return HTTPAnswer(200, "application/json", text.bytes)
  }

  private static func write(_ text: inout JSONText, _ catalog: Catalog) {
    let plan = catalog.plan
    text.raw("{\"version\":")
    text.number(plan.version)
    text.raw(",\"fingerprint\":")
    text.string(fingerprintText(plan.fingerprint))
    text.raw(",\"sources\":")
    text.list(plan.definitions.sources) { write(&$0, $1) }
    text.raw(",\"views\":")
    text.list(plan.views.indices) { write(&$0, catalog, $1) }
    text.raw(",\"services\":")
    text.list(plan.services) { write(&$0, plan, $1) }
    text.raw("}")
  }

  private static func write(_ text: inout JSONText, _ source: Source) {
    text.raw("{\"name\":")
    text.string(source.name)
    text.raw(",\"topic\":")
    text.string(source.topic)
    text.raw(",\"key\":")
    write(&text, source.key)
    text.raw(",\"event_time\":")
    text.string(source.timestamp.field)
    text.raw(",\"fields\":")
    fields(&text, source.fields.map { ($0.name, $0.type.rawValue) })
    annotations(&text, source.annotations)
    text.raw("}")
  }

  private static func write(_ text: inout JSONText, _ catalog: Catalog, _ index: Int) {
    let (view, said) = (catalog.plan.views[index], catalog.plan.definitions.views[index])
    text.raw("{\"name\":")
    text.string(view.name)
    text.raw(",\"source\":")
    text.string(said.source)
    // Lineage: the topics that an event passes on its way to a state.
    text.raw(",\"folded_from\":")
    text.string(catalog.places[index].topic)
    text.raw(",\"where\":")
    write(&text, said.filter)
    text.raw(",\"entity\":")
    fields(&text, view.entity.map { ($0.name, $0.type.rawValue) })
    text.raw(",\"fingerprint\":")
    text.string(fingerprintText(view.fingerprint))
    text.raw(",\"features\":")
    text.list(view.summaries) { text, summary in
      text.raw("{\"name\":")
      text.string(summary.name)
      text.raw(",\"type\":")
      text.string(summary.type.description)
      text.raw(",\"computation\":")
      text.string(summary.computation)
      text.raw(",\"windows\":")
      text.list(summary.windows) { $0.string($1) }
      text.raw(",\"columns\":")
      let columns =
        summary.windows.isEmpty ? [summary.name] : summary.windows.map { "\(summary.name)_\($0)" }
      text.list(columns) { $0.string($1) }
      let feature = said.features.first { $0.name == summary.name }
      annotations(&text, feature?.annotations ?? Annotations())
      text.raw("}")
    }
    annotations(&text, said.annotations)
    text.raw("}")
  }

  private static func write(_ text: inout JSONText, _ plan: Plan, _ service: ServicePlan) {
    text.raw("{\"name\":")
    text.string(service.name)
    text.raw(",\"entity\":")
    fields(&text, service.entity.map { ($0.name, $0.type.description) })
    text.raw(",\"inputs\":")
    fields(&text, service.service.inputs.map { ($0.name, $0.type.rawValue) })
    text.raw(",\"columns\":")
    text.list(service.columns) { text, column in
      text.raw("{\"name\":")
      text.string(column.name)
      text.raw(",\"type\":")
      text.string(column.type.description)
      switch column.origin {
      case .feature(let read, let feature):
        let view = plan.views[service.reads[read].view]
        text.raw(",\"view\":")
        text.string(view.name)
        text.raw(",\"feature\":")
        text.string(view.features[feature].name)
      case .derived(let index):
        text.raw(",\"derive\":")
        text.string(service.service.derived[index].expression)
      }
      text.raw("}")
    }
    text.raw(",\"max_lag_seconds\":")
    if let lag = service.service.maxLag {
      text.value(.double(Double(lag) / 1e6), .native)
    } else {
      text.raw("null")
    }
    annotations(&text, service.service.annotations)
    text.raw("}")
  }

  private static func fields(_ text: inout JSONText, _ fields: [(String, String)]) {
    text.list(fields) { text, field in
      text.raw("{\"name\":")
      text.string(field.0)
      text.raw(",\"type\":")
      text.string(field.1)
      text.raw("}")
    }
  }

  private static func write(_ text: inout JSONText, _ string: String?) {
    if let string { text.string(string) } else { text.raw("null") }
  }

  private static func annotations(_ text: inout JSONText, _ annotations: Annotations) {
    text.raw(",\"owner\":")
    write(&text, annotations.owner)
    text.raw(",\"description\":")
    write(&text, annotations.description)
    text.raw(",\"tags\":{")
    for (index, tag) in annotations.tags.sorted(by: { $0.key < $1.key }).enumerated() {
      if index > 0 { text.raw(",") }
      text.string(tag.key)
      text.raw(":")
      text.string(tag.value)
    }
    text.raw("}")
  }
}
