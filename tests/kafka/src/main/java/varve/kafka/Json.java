package varve.kafka;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.ByteBuffer;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Base64;
import java.util.HexFormat;

/** JSON, and the forms in which the manifests of tests/golden write values. */
final class Json {
    private static final ObjectMapper MAPPER = new ObjectMapper();
    /** Longer keys and values are given by their hash and length, in bytes. */
    private static final int LONGEST_GIVEN_WHOLE = 48;

    private Json() {}

    static JsonNode parse(String text) throws JsonProcessingException {
        return MAPPER.readTree(text);
    }

    static String text(JsonNode node) {
        return node.toString();
    }

    static ObjectNode object() {
        return MAPPER.createObjectNode();
    }

    static ArrayNode array() {
        return MAPPER.createArrayNode();
    }

    static ArrayNode numbers(long... numbers) {
        ArrayNode array = array();
        for (long number : numbers) {
            array.add(number);
        }
        return array;
    }

    /** Base64, or "sha256:HEX:LENGTH" where that is longer than 48 bytes; null is null. */
    static String bytes(ByteBuffer content) {
        if (content == null) {
            return null;
        }
        byte[] copy = new byte[content.remaining()];
        content.duplicate().get(copy);
        if (copy.length <= LONGEST_GIVEN_WHOLE) {
            return Base64.getEncoder().encodeToString(copy);
        }
        return "sha256:" + HexFormat.of().formatHex(sha256(copy)) + ":" + copy.length;
    }

    private static byte[] sha256(byte[] content) {
        try {
            return MessageDigest.getInstance("SHA-256").digest(content);
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);  // every Java platform has it
        }
    }
}
