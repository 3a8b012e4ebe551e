import Foundation

/// A secret that stands in a file of its own, as containers and service managers hand it over.
enum SecretFile {
  /// Longer files are no secrets, but a mistake.
  private static let bytesMax = 64 << 10

  /// The file's text, without the line break that editors put at its end.
  static func read(_ path: String, _ setting: String, from origin: String) throws(SettingError) -> String {
    let place = "\(setting): \(path)"
    guard let file = FileHandle(forReadingAtPath: path) else {
      let reason = String(cString: strerror(errno))
      throw SettingError(origin, "cannot read the secret of \(place): \(reason)")
    }
    let bytes: Data
    do {
      bytes = try file.read(upToCount: bytesMax + 1) ?? Data()
    } catch {
      throw SettingError(origin, "cannot read the secret of \(place): it is no file, or its reading failed")
    }
    guard bytes.count <= bytesMax, var text = String(validating: bytes, as: UTF8.self) else {
      throw SettingError(
        origin, "there is no secret in the file of \(place): it should hold one line of UTF-8")
    }
    if let last = text.last, last == "\n" || last == "\r\n" { text.removeLast() }
    guard !text.isEmpty, !text.contains(where: \.isNewline) else {
      throw SettingError(
        origin, "there is no secret in the file of \(place): it should hold one line of UTF-8")
    }
    return text
  }
}
