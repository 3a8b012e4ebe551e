import Foundation
import TestSupport

/// An authority, and certificates that it has signed: made by OpenSSL's own program, in a folder.
struct Certificates {
  static let executable = ["/usr/bin/openssl", "/usr/local/bin/openssl", "/opt/homebrew/bin/openssl"]
    .first { FileManager.default.isExecutableFile(atPath: $0) }

  let folder: URL
  var authority: String { path("ca.crt") }

  init(in folder: URL) throws {
    self.folder = folder
    try openssl([
      "req", "-x509", "-key", try key("ca"), "-out", authority, "-days", "2", "-subj", "/CN=authority",
    ])
  }

  /// A certificate for the given names, such as `DNS:redis.test` and `IP:127.0.0.1`.
  func issue(_ name: String, for names: String) throws -> (certificate: String, key: String) {
    let (key, request, extensions) = (try key(name), path("\(name).csr"), path("\(name).ext"))
    try openssl(["req", "-new", "-key", key, "-out", request, "-subj", "/CN=\(name)"])
    try Data("subjectAltName=\(names)".utf8).write(to: URL(fileURLWithPath: extensions))
    let certificate = path("\(name).crt")
    try openssl([
      "x509", "-req", "-in", request, "-CA", authority, "-CAkey", path("ca.key"), "-CAcreateserial", "-days",
      "2",
      "-extfile", extensions, "-out", certificate,
    ])
    return (certificate, key)
  }

  func path(_ name: String) -> String { folder.appendingPathComponent(name).path }

  private func key(_ name: String) throws -> String {
    try openssl(["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", path("\(name).key")])
    return path("\(name).key")
  }

  func openssl(_ arguments: [String]) throws {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: try Self.executable.unwrapped("openssl is missing"))
    process.arguments = arguments
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    try process.run()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else { throw Failure("openssl \(arguments) failed") }
  }
}
