package org.sftnative.web;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import tools.jackson.core.JacksonException;
import tools.jackson.core.StreamReadConstraints;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.core.json.JsonFactory;
import tools.jackson.databind.DeserializationFeature;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/// The JSON object that a request carries, strictly: UTF-8 without a lone surrogate, no name twice, nothing after it.
final class JsonBody {
    static final JsonMapper JSON = JsonMapper.builder(JsonFactory.builder()
                    .streamReadConstraints(
                            StreamReadConstraints.builder().maxNestingDepth(64).build())
                    .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                    .build())
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
            .build();

    /// Bytes of a body that is too large which are still read, so that the client hears why.
    private static final long PATIENCE = 64L << 20;

    private JsonBody() {}

    /// @param limit most bytes
    /// @throws ApiException if it is not such an object, or larger
    static ObjectNode read(InputStream body, int limit) throws IOException {
        byte[] bytes = body.readNBytes(limit + 1);
        if (bytes.length > limit) {
            long left = PATIENCE;
            byte[] rest = new byte[1 << 16];
            for (int n = 0; n >= 0 && left > 0; left -= n) {
                n = body.read(rest);
            }
            throw ApiException.request(
                    413, "request_too_large", "the request's body has more than " + limit + " bytes");
        }
        return parse(bytes);
    }

    private static ObjectNode parse(byte[] bytes) {
        JsonNode node;
        try {
            String text = StandardCharsets.UTF_8
                    .newDecoder()
                    .onMalformedInput(CodingErrorAction.REPORT)
                    .onUnmappableCharacter(CodingErrorAction.REPORT)
                    .decode(ByteBuffer.wrap(bytes))
                    .toString();
            node = JSON.readTree(text);
        } catch (CharacterCodingException e) {
            throw ApiException.request(400, "invalid_utf8", "the request's body is not UTF-8");
        } catch (JacksonException e) {
            throw ApiException.request(
                    400,
                    "invalid_json",
                    "the request's body is not valid JSON"
                            + (e.getLocation() == null || e.getLocation().getLineNr() < 1
                                    ? ""
                                    : " (line " + e.getLocation().getLineNr() + ", column "
                                            + e.getLocation().getColumnNr() + ")")
                            + ": " + Shown.of(e.getOriginalMessage()));
        }
        if (node instanceof ObjectNode object) {
            return object;
        }
        throw ApiException.request(400, "invalid_json", "the request's body is no JSON object");
    }
}
