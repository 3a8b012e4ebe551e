import Foundation
import Yams

extension ServiceSettings {
  /// Takes over a YAML file: a mapping of settings, and under `kafka` one of librdkafka's properties.
  public mutating func apply(path: String) throws(SettingError) {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw SettingError(path, "there is no such file, or it can't be read")
    }
    let root: Node?
    do {
      root = try Yams.compose(yaml: String(decoding: data, as: UTF8.self))
    } catch {
      throw Self.syntax(error, path)
    }
    guard let root else { return }
    guard let mapping = root.mapping else { throw SettingError(path, "should hold lines 'setting: value'") }
    var given: [Given] = []
    for (key, value) in mapping {
      let origin = "\(path):\(key.mark?.line ?? 1)"
      let name = key.scalar?.string ?? ""
      guard name == "kafka" else {
        given.append((name, try Self.text(value, name, origin), origin))
        continue
      }
      guard let properties = value.mapping else {
        throw SettingError(origin, "kafka should hold lines 'property: value'")
      }
      for (property, value) in properties {
        let origin = "\(path):\(property.mark?.line ?? 1)"
        let name = property.scalar?.string ?? ""
        given.append((Self.kafkaPrefix + name, try Self.text(value, name, origin), origin))
      }
    }
    try apply(given)
  }

  /// What is wrong with a file, without the line that it is in: that may hold a password.
  private static func syntax(_ error: any Error, _ path: String) -> SettingError {
    switch error as? YamlError {
    case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
      .composer(_, let problem, let mark, _):
      SettingError("\(path):\(mark.line):\(mark.column)", "this is no YAML: \(problem)")
    case .reader(let problem, _, _, _): SettingError(path, "this is no YAML: \(problem)")
    default: SettingError(path, "this is no YAML, or a setting stands there twice")
    }
  }

  private static func text(_ node: Node, _ name: String, _ origin: String) throws(SettingError) -> String {
    guard let scalar = node.scalar else { throw SettingError(origin, "\(name) should have one plain value") }
    return scalar.string
  }
}
