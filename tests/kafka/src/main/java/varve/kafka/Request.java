package varve.kafka;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

/** Something that the judge can be asked to do; chosen by the member "do" of a request. */
interface Request {
    /** The members of the answer, "ok" aside. Whatever is thrown becomes the answer's "error". */
    ObjectNode answer(JsonNode request) throws Exception;
}
