import Foundation

/// A text of the definitions that may hold a secret, and so stands in the environment or in a file.
public enum EnvironmentReference {
  /// The text, or of `${NAME}` the environment's NAME, or the content of the file that NAME_FILE names;
  /// `place` is where the text stands.
  public static func resolve(_ text: String, of place: String) throws(SettingError) -> String {
    guard text.hasPrefix("${"), text.hasSuffix("}") else { return text }
    let name = String(text.dropFirst(2).dropLast())
    let environment = ProcessInfo.processInfo.environment
    if let value = environment[name] { return value }
    guard let path = environment["\(name)_FILE"] else {
      throw SettingError(place, "the environment has neither \(name) nor \(name)_FILE; set one of them")
    }
    guard let data = FileManager.default.contents(atPath: path) else {
      throw SettingError(place, "the file '\(path)' of \(name)_FILE can't be read")
    }
    return String(decoding: data, as: UTF8.self).trimmingCharacters(in: .newlines)
  }
}
