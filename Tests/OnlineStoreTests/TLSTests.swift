import Foundation
import Processor
import Testing
import TestSupport

@testable import OnlineStore

/// A real server that speaks TLS and wants to know its clients.
@Suite(
  .enabled(
    if: RedisServer.isAvailable && Certificates.executable != nil, "redis-server or openssl is missing"))
struct TLSTests {
  let server: RedisServer
  let certificates: Certificates
  let port: Int32
  let url: String

  init() throws {
    let ports = try FreePorts.find(2)
    let plain = ports[1]
    port = ports[0]
    server = try RedisServer()
    certificates = try Certificates(in: server.folder)
    let own = try certificates.issue("server", for: "DNS:redis.test,IP:127.0.0.1")
    let client = try certificates.issue("client", for: "DNS:client.test")
    server.kill()
    try server.start([
      "--save", "", "--bind", "127.0.0.1", "--port", "\(plain)", "--tls-port", "\(port)", "--tls-cert-file",
      own.certificate, "--tls-key-file", own.key, "--tls-ca-cert-file", certificates.authority,
      "--tls-auth-clients", "yes",
    ])
    let credentials =
      "ca_file=\(certificates.authority)&cert_file=\(client.certificate)&key_file=\(client.key)"
    url = "rediss://127.0.0.1:\(port)?\(credentials)"
  }

  private func store(_ url: String, _ change: (inout RedisOptions) -> Void = { _ in }) throws
    -> RedisStateStore
  {
    var options = try RedisOptions(url: url)
    options.reconnectDelayMilliseconds = 0
    change(&options)
    return RedisStateStore(options, keys: storeKeys)
  }

  private func refusal(_ url: String) throws -> String {
    let error = failure { _ = try store(url).claim(task) }
    #expect(error?.remedy == .retry, "\(String(describing: error))")
    return error?.message ?? "nothing"
  }

  @Test func statesGoThroughIt() throws {
    let store = try store(url)
    #expect(try store.claim(task).epoch == 1)
    // Many records of TLS, in both directions, and sizes around their borders.
    let sizes = [1, 16_383, 16_384, 16_385, 5_000_000]
    let values = Dictionary(uniqueKeysWithValues: sizes.map { ("e\($0)", String(repeating: "x", count: $0)) })
    try store.commit(task, epoch: 1, from: nil, to: 1, states: states(values))
    for size in sizes {
      #expect(try store.loadTexts(task, ["e\(size)"], at: 1) == [String(repeating: "x", count: size)])
    }
    let reader = OnlineReader(try RedisOptions(url: url), keys: storeKeys)
    #expect(try reader.position(of: task) == 1)
  }

  @Test func serversThatAreNotTheRightOneAreRefused() throws {
    let own = url.replacing("ca_file=\(certificates.authority)&", with: "")
    #expect(try refusal(own).contains("not accepted: "))
    #expect(try refusal(own).contains("give the file of the authority"))
    let localhost = url.replacing("127.0.0.1", with: "localhost")
    #expect(try refusal(localhost).contains("hostname mismatch"))
    #expect(try refusal(url + "&server_name=other.test").contains("give the name that it is for"))
    #expect(try refusal(url + "&server_name=127.0.0.2").contains("IP address mismatch"))
    for right in [localhost + "&server_name=redis.test", url + "&server_name=127.0.0.1"] {
      #expect(failure { _ = try store(right).claim(task) } == nil)
    }
    // Each error says where, and that the connection was to be protected.
    #expect(try refusal(own).contains("connect to rediss://127.0.0.1:\(port): "))
  }

  @Test func clientsThatTheServerDoesNotKnowAreRefused() throws {
    let anonymous = "rediss://127.0.0.1:\(port)?ca_file=\(certificates.authority)"
    // Whether the refusal or the server's end is seen first is a matter of luck: the reason is told either way.
    for _ in 0..<10 {
      let reason = try refusal(anonymous)
      #expect(reason.contains("certificate required"), "\(reason)")
    }
    #expect(failure { _ = try store("redis://127.0.0.1:\(port)").claim(task) }?.remedy == .retry)
  }

  @Test func aServerWithoutTLSIsNoneWithIt() throws {
    let plain = try server.ask("CONFIG", ["GET", "port"])[1].unwrapped("no port")
    #expect(try refusal(url.replacing(":\(port)", with: ":\(plain)")).contains("the TLS handshake failed"))
  }

  @Test func filesThatAreNoneAreNamed() throws {
    let (certificate, key) = (certificates.path("client.crt"), certificates.path("client.key"))
    #expect(try refusal(url.replacing("ca.crt", with: "none")).contains("ca_file") == false)
    #expect(try refusal(url.replacing("ca.crt", with: "none")).contains("none: No such file"))
    #expect(
      try refusal(url.replacing(certificate, with: certificates.path("none"))).contains("none: No such"))
    #expect(try refusal(url.replacing(certificates.authority, with: key)).contains("no certificate in PEM"))
    #expect(try refusal(url.replacing(key, with: certificate)).contains("client.crt holds no key"))
    #expect(try refusal(url.replacing(key, with: certificates.path("server.key"))).contains("fits"))
    // Nobody is asked for the passphrase.
    let locked = certificates.path("locked.key")
    try certificates.openssl(["ec", "-in", key, "-out", locked, "-aes256", "-passout", "pass:x"])
    #expect(try refusal(url.replacing(key, with: locked)).contains("without a passphrase"))
  }

  @Test func renewedFilesAreReadWithTheNextConnection() throws {
    let authority = certificates.path("renewed.crt")
    try FileManager.default.copyItem(atPath: certificates.path("client.crt"), toPath: authority)
    let store = try store(url.replacing(certificates.authority, with: authority))
    #expect(failure { _ = try store.claim(task) }?.message.contains("not accepted") == true)
    try FileManager.default.removeItem(atPath: authority)
    try FileManager.default.copyItem(atPath: certificates.authority, toPath: authority)
    #expect(try store.claim(task).epoch == 1)
  }

  @Test func aServerThatDiesOrHangsCostsAnErrorAndNoSignal() throws {
    let store = try store(url) { ($0.commandTimeoutMilliseconds, $0.connectTimeoutMilliseconds) = (50, 50) }
    _ = try store.claim(task)
    server.pause(true)
    let commit = {
      try store.commit(task, epoch: 1, from: nil, to: 1, states: states(["a": "1"]))
    }
    #expect(failure(commit)?.message.contains("timed out") == true)
    // In the middle of a handshake, too.
    #expect(failure(commit)?.message.contains("timed out") == true)
    server.pause(false)
    try waitUntil("the server is back") { failure(commit) == nil }
    server.kill()
    for _ in 0..<3 { #expect(failure { _ = try store.claim(task) }?.remedy == .retry) }
  }
}
