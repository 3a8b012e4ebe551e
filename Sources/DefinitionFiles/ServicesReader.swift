import FeatureCore
import Yams

// Services, and what people are told, of `DefinitionsReader`.
extension DefinitionsReader {
  /// The keys that everything has which people are told of.
  static let annotationKeys = ["owner", "description", "tags"]
  private static let staleSynonyms: [String: Service.WhenStale] = [
    "error": .fail, "reject": .fail, "mark": .flag, "warn": .flag, "serve": .flag,
  ]

  /// Owner, description and tags of a mapping.
  func annotations(_ fields: Fields) -> Annotations {
    let tags = fields["tags"].flatMap { reader.entries($0, expected: "a mapping of tags to texts") } ?? []
    return Annotations(
      owner: fields["owner"].flatMap { reader.text($0, expected: "a name or an address") },
      description: fields["description"].flatMap { reader.text($0, expected: "a text") },
      tags: Dictionary(
        tags.compactMap { name, value in reader.text(value, expected: "a text").map { (name, $0) } },
        uniquingKeysWith: { first, _ in first }))
  }

  /// A service.
  func service(_ name: String, _ place: Place) -> Service? {
    let keys = ["features", "inputs", "derive", "max_age", "max_lag", "when_stale", "served"]
    guard let fields = reader.fields(place, "a service", keys: keys + Self.annotationKeys) else { return nil }
    let features = reader.required("features", of: fields, example: "features: [user_activity.*]")
    var service = Service(
      name,
      features: (features.map(reader.elements) ?? []).compactMap {
        reader.text($0, expected: "view.feature or view.*")
      },
      inputs: entries(fields["inputs"], "a mapping of inputs to types").compactMap { name, place in
        valueType(place).map { Service.Input(name, $0) }
      },
      derived: entries(fields["derive"], "a mapping of columns to SQL expressions").compactMap {
        name, place in
        reader.text(place, expected: "a SQL expression").map { Service.Derived(name, $0) }
      },
      maxAge: entries(fields["max_age"], "a mapping of views to durations").compactMap { name, place in
        reader.duration(place).map { Service.MaxAge(name, $0) }
      },
      maxLag: fields["max_lag"].flatMap(reader.duration),
      whenStale: fields["when_stale"].flatMap {
        reader.choice($0, "reaction", synonyms: Self.staleSynonyms)
      } ?? .flag,
      servedShare: fields["served"].flatMap(servedShare))
    service.annotations = annotations(fields)
    return service
  }

  private func entries(_ place: Place?, _ expected: String) -> [(name: String, value: Place)] {
    place.flatMap { reader.entries($0, expected: expected) } ?? []
  }

  private func servedShare(_ place: Place) -> Double? {
    guard let fields = reader.fields(place, "what is logged of a service", keys: ["share"]) else {
      return nil
    }
    return reader.required("share", of: fields, example: "share: 1.0").flatMap(reader.number)
  }
}
