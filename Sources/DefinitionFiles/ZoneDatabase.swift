public import FeatureCore
import Foundation

/// The machine's time zones: IANA's tzdata in its compiled form (RFC 8536).
///
/// Not Foundation's `TimeZone`: its transitions are those of daylight saving, and zones also change their
/// offset for good (Moscow in 2011 and 2014).
public struct ZoneDatabase: Sendable {
  /// Where systems keep tzdata.
  public static let standardDirectories = [
    "/usr/share/zoneinfo", "/usr/lib/zoneinfo", "/usr/share/lib/zoneinfo", "/etc/zoneinfo",
  ]
  /// The machine's own.
  public static let system = ZoneDatabase(
    directory: standardDirectories.first { FileManager.default.fileExists(atPath: $0) }
      ?? standardDirectories[0])

  /// The directory of the compiled zones.
  public let directory: String

  /// A database in a directory.
  public init(directory: String) { self.directory = directory }

  /// The rules of a zone of the machine's database; nil if it has none of this name.
  public static func rules(_ name: String) -> TimeZoneRules? { system.rules(name) }

  /// The rules of a zone: every change of its offset from 1900 to 2100. UTC needs no database.
  public func rules(_ name: String) -> TimeZoneRules? {
    if name == TimeZoneRules.utc.name { return .utc }
    guard Self.isZoneName(name), let data = FileManager.default.contents(atPath: "\(directory)/\(name)"),
      let zone = TZif([UInt8](data))
    else { return nil }
    return zone.rules(name: name)
  }

  /// Whether there is a database at all.
  var isPresent: Bool { FileManager.default.fileExists(atPath: directory) }

  static func missing(_ name: String) -> String {
    "cannot look up time zone '\(name)': this machine has no time zone database"
  }
  static let remedy = "install the package tzdata"

  /// `right/` counts leap seconds, which event time does not; `posix/` doubles every name.
  private static func isZoneName(_ name: String) -> Bool {
    let parts = name.split(separator: "/", omittingEmptySubsequences: false)
    let known = parts.allSatisfy { part in
      part.first?.isLetter == true
        && part.utf8.allSatisfy { $0 < 0x80 && ($0 >= 0x30 && $0 != 0x5C || $0 == 0x2B || $0 == 0x2D) }
    }
    return known && !["right", "posix"].contains(parts[0])
  }

  /// What was probably meant by a name that no zone has.
  func suggestion(for name: String) -> String {
    let names = zoneNames()
    let place = name.lowercased().replacing(" ", with: "_")
    let matches = names.filter { zone in
      zone.lowercased() == place || zone.lowercased().hasSuffix("/\(place)")
    }
    if let match = matches.min() { return "did you mean '\(match)'?" }
    return Suggestion.didYouMean(name, among: names)
      ?? "an IANA name such as Europe/Berlin, America/New_York or UTC"
  }

  private func zoneNames() -> [String] {
    guard let paths = FileManager.default.enumerator(atPath: directory) else { return [] }
    return paths.compactMap { $0 as? String }.filter { path in
      Self.isZoneName(path) && path.first?.isUppercase == true && !path.contains(".") && isFile(path)
    }
  }

  private func isFile(_ path: String) -> Bool {
    var isDirectory: ObjCBool = false
    return FileManager.default.fileExists(atPath: "\(directory)/\(path)", isDirectory: &isDirectory)
      && !isDirectory.boolValue
  }
}
